"""The error of the linearized network at the candidate alone: a sanity baseline."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import kernels, lookahead
from ntk_al._utils import float64
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.look_ahead import diagnostics
from ntk_al.lookahead import posterior
from ntk_al.types import Array


def residual(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """‖e_j‖ = ‖y − mean(x_j)‖ with y = argmax f(x_j): the error alone, without its reach.

    A sanity baseline for MLMOC, which ranks much like it. It needs no kernel among candidates,
    unless labels came within the query or all logits have their own.
    """
    del key
    options, num_labeled = candidates.options, len(candidates.x_labeled)
    if candidates.observed or options.readout == lookahead.ALL_LOGITS:
        belief = candidates.posterior
        return _error_norm(belief.mean, belief.logits), diagnostics(belief)

    def gram() -> Array:
        x_all = jnp.concatenate([jnp.asarray(candidates.x_labeled), jnp.asarray(candidates.x)])
        return kernels.gram(
            candidates.network,
            candidates.x_labeled,
            x_all,
            readout=options.readout,
            precision=options.precision,
        )

    theta = candidates.once("labeled rows", gram)
    factor = posterior.factorize(theta[:, :num_labeled], candidates.residual, ridge=options.ridge)
    points = factor.at(theta[:, num_labeled:], candidates.logits)
    return _error_norm(points.mean, points.logits), diagnostics(factor)


def _error_norm(mean: Array, logits: Array) -> Array:
    with float64.widest(mean, logits):
        pseudo_label = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=mean.dtype)
        return jnp.linalg.norm(pseudo_label - mean, axis=1)
