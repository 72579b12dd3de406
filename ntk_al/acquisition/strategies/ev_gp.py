"""EV-GP: the batch that explains most of the variance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.look_ahead import diagnostics
from ntk_al.acquisition.strategy import best, uniform_by_id
from ntk_al.lookahead import full_posterior, posterior
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array


def explained_variance(
    key: Array, candidates: CandidateSet, k: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """EV-GP: the batch that explains most of the variance at the candidates, greedily.

    Σ_x k(x, S) (k(S, S) + λI)⁻¹ k(S, x) over the candidates x grows by Σ_x S(x, j)² / (S_jj + λ)
    when j joins; labels do not enter (Hemachandra, Dai, Hou, Ng and Low 2023, arXiv:2306.04454,
    criterion EV with its Gaussian-process form). They take the kernel of the network at
    initialization, to choose before any training; here it is that of the network as it is.
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


@jax.jit
def _explained(belief: Posterior | FullPosterior) -> Array:
    """By how much the variance at all candidates would fall, for each one that is labeled."""
    s = belief.covariance
    if isinstance(belief, FullPosterior):
        gain = full_posterior.gain(s, belief.noise)
        return jnp.einsum("jxcb,xcjb->j", gain, s, precision=jax.lax.Precision.HIGHEST)
    return (posterior.gain(s, jnp.diagonal(s), belief.noise) * s).sum(0)
