"""EV-GP: the batch that explains the most variance."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.greedy import greedy
from ntk_al.acquisition.strategy import Choice, facts, uniform_by_id
from ntk_al.lookahead import full_posterior, posterior
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array


def explained_variance(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedily chooses the batch that explains the most variance at the evaluation points.

    The explained variance Σ_x k(x, B) (k(B, B) + λI)⁻¹ k(B, x), summed over the evaluation points
    x, grows by Σ_x S(x, j)² / (S_jj + λ) when j joins the batch B. It does not depend on labels.
    This is the criterion EV in its Gaussian-process form (Hemachandra, Dai, Hou, Ng and Low 2023,
    arXiv:2306.04454). The paper uses the kernel of the network at initialization, in order to
    choose before any training; this implementation uses the kernel of the trained network. The
    evaluation points are the candidates unless others are given.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    belief = candidates.posterior
    before, utilities = facts(belief), np.asarray(_explained(belief, len(candidates.x)))

    def add(row: int) -> None:
        nonlocal belief
        belief = belief.observe(row, 0)  # only the covariance is used

    rows = greedy(
        k,
        lambda _: _explained(belief, len(candidates.x)),
        add,
        available=candidates.available,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, utilities, before)


@functools.partial(jax.jit, static_argnames="num_candidates")
def _explained(belief: Posterior | FullPosterior, num_candidates: int) -> Array:
    """Computes by how much labeling each candidate would lower the variance, ``[U]``."""
    s = belief.covariance
    evaluation = slice(num_candidates if num_candidates < len(s) else 0, None)
    if isinstance(belief, FullPosterior):
        s = s[:, :, :num_candidates]
        gain = full_posterior.gain(s, belief.noise)
        return jnp.einsum(
            "jxcb,xcjb->j",
            gain[:, evaluation],
            s[evaluation],
            precision=jax.lax.Precision.HIGHEST,
        )
    variance, s = jnp.diagonal(s)[:num_candidates], s[evaluation, :num_candidates]
    return (posterior.gain(s, variance, belief.noise) * s).sum(0)
