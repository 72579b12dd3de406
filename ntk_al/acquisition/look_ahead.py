"""Strategies that ask what the linearised network would become."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import joint_posterior, kernels, lookahead, posterior, precision
from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.acquisition.strategy import Strategy, Utility, best, ranked, uniform_by_id
from ntk_al.joint_posterior import JointPosterior
from ntk_al.posterior import Factor, Posterior
from ntk_al.types import Array


def network_outputs(candidates: CandidateSet) -> Array:
    """The outputs f at the candidates, ``[U, C]``, whose argmax is the pseudo-label."""
    return candidates.network_logits


def look_ahead(
    utility: Utility,
    *,
    needs: tuple[str, ...] = (),
    outputs: Callable[[CandidateSet], Array] = network_outputs,
) -> Strategy:
    """The strategy of a utility that sees labels: its batches follow ``options.batch_mode``.

    A greedy batch is a sequential query whose labels are the network's own: each pick is absorbed
    with its pseudo-label, argmax f(x_j), before the next is scored, so that near copies of a pick
    are no longer worth a label. The paper takes the k highest scores. ``outputs`` are what
    pseudo-labels come from, where that is not the network.
    """
    strategy = ranked(utility, needs=needs)

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        if candidates.options.batch_mode == "top_k":
            return strategy(key, candidates, k)
        row_of = {int(i): row for row, i in enumerate(candidates.ids)}
        picks = []
        for step in range(k):
            step_key = jax.random.fold_in(key, step) if step else key
            picks.append(strategy(step_key, candidates, 1))
            row = row_of[int(picks[-1].ids[0])]
            if step + 1 < k:
                label = int(np.asarray(outputs(candidates))[row].argmax())
                candidates = candidates.observe(row, label)
        return dataclasses.replace(picks[0], ids=np.concatenate([pick.ids for pick in picks]))

    return Strategy(choose, needs)


def criterion(key: Array, candidates: CandidateSet, *, name: str) -> tuple[Array, dict[str, float]]:
    """A criterion of ``lookahead.CRITERIA`` on the posterior of the candidates."""
    del key
    belief = candidates.posterior
    scores = lookahead.score_posterior(
        belief, criterion=name, reference=candidates.options.reference
    )
    return scores, diagnostics(belief)


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


def explained_variance(
    key: Array, candidates: CandidateSet, k: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """EV-GP: the batch that explains most of the variance at the candidates, greedily.

    Σ_x k(x, S) (k(S, S) + λI)⁻¹ k(S, x) over the candidates x grows by Σ_x S(x, j)² / (S_jj + λ)
    when j joins; labels do not enter (Hemachandra, Dai, Hou, Ng and Low 2023, arXiv:2306.04454,
    criterion EV with its Gaussian-process form). They take the kernel of the network at
    initialisation, to choose before any training; here it is that of the network as it is.
    """
    belief = candidates.posterior
    allowed, ties = candidates.available, uniform_by_id(key, candidates.ids)
    facts, rows, utilities = diagnostics(belief), [], None
    for _ in range(k):
        gains = np.asarray(_explained(belief))
        utilities = gains if utilities is None else utilities
        rows.append(best(gains, allowed, ties))
        allowed[rows[-1]] = False
        belief = belief.observe(rows[-1], 0)  # only the covariance is used
    assert utilities is not None
    return np.array(rows), utilities, facts


def diagnostics(fitted: Posterior | JointPosterior | Factor) -> dict[str, float]:
    """Facts of a factorisation, for the record."""
    return {
        "ridge": float(f"{fitted.ridge:.6g}"),
        "condition_number": float(f"{fitted.condition_number:.6g}"),
    }


def _error_norm(mean: Array, logits: Array) -> Array:
    with precision.widest(mean, logits):
        pseudo_label = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=mean.dtype)
        return jnp.linalg.norm(pseudo_label - mean, axis=1)


@jax.jit
def _explained(belief: Posterior | JointPosterior) -> Array:
    """By how much the variance at all candidates would fall, for each one that is labeled."""
    s = belief.covariance
    if isinstance(belief, JointPosterior):
        gain = joint_posterior.gain(s, belief.noise)
        return jnp.einsum("jxcb,xcjb->j", gain, s, precision=jax.lax.Precision.HIGHEST)
    return (posterior.gain(s, jnp.diagonal(s), belief.noise) * s).sum(0)
