"""Utilities that ask what the network would become."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import kernels, lookahead, posterior, precision
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.types import Array


def criterion(key: Array, candidates: CandidateSet, *, name: str) -> tuple[Array, dict[str, float]]:
    """A criterion of ``lookahead.CRITERIA`` on the posterior of the candidates."""
    del key
    belief = candidates.posterior
    scores = lookahead.score_posterior(
        belief, criterion=name, reference=candidates.options.reference
    )
    return scores, _diagnostics(belief)


def residual(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """‖e_j‖ = ‖y − mean(x_j)‖ with y = argmax f(x_j): the error alone, without its reach.

    A sanity baseline for MLMOC, which ranks much like it. It needs no kernel among candidates.
    """
    del key
    if candidates.observed:
        belief = candidates.posterior
        return _error_norm(belief.mean, belief.logits), _diagnostics(belief)
    options, num_labeled = candidates.options, len(candidates.x_labeled)
    x_all = jnp.concatenate([jnp.asarray(candidates.x_labeled), jnp.asarray(candidates.x)])
    theta = kernels.gram(
        candidates.network,
        candidates.x_labeled,
        x_all,
        readout=options.readout,
        precision=options.precision,
    )
    factor = posterior.factorize(theta[:, :num_labeled], candidates.residual, ridge=options.ridge)
    points = factor.at(theta[:, num_labeled:], candidates.logits)
    return _error_norm(points.mean, points.logits), _diagnostics(factor)


def _error_norm(mean: Array, logits: Array) -> Array:
    with precision.widest(mean, logits):
        pseudo_label = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=mean.dtype)
        return jnp.linalg.norm(pseudo_label - mean, axis=1)


def _diagnostics(fitted: posterior.Posterior | posterior.Factor) -> dict[str, float]:
    return {
        "ridge": float(f"{fitted.ridge:.6g}"),
        "condition_number": float(f"{fitted.condition_number:.6g}"),
    }
