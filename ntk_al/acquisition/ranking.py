"""From a utility for each candidate to a strategy that takes the k best."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.types import Array

Strategy = Callable[[Array, CandidateSet, int], Selection]
"""A PRNG key, the candidates and k to the k chosen ones."""

Utility = Callable[[Array, CandidateSet], tuple[Array, dict[str, float]]]
"""A PRNG key and the candidates to utilities ``[U]`` (higher = queried first) and diagnostics."""


def ranked(utility: Utility) -> Strategy:
    """The strategy that takes the k candidates of highest utility; ties are broken by the key."""

    def strategy(key: Array, candidates: CandidateSet, k: int) -> Selection:
        candidates.check_choice(k)
        available = candidates.available
        utility_key, tie_key = jax.random.split(key)
        values, diagnostics = utility(utility_key, candidates)
        utilities = np.array(values, np.float64)
        utilities[~available | np.isnan(utilities)] = -np.inf
        order = np.lexsort((uniform_by_id(tie_key, candidates.ids), -utilities))
        # A candidate whose utility is −inf is still preferred to one that is not available.
        order = order[np.argsort(~available[order], kind="stable")]
        return Selection(candidates.ids[order[:k]], utilities, diagnostics)

    return strategy


def uniform_by_id(key: Array, ids: np.ndarray) -> np.ndarray:
    """Uniform numbers that belong to ids: reordering the pool reorders them along, ``[U]``."""
    return np.asarray(_uniform_by_id(key, jnp.asarray(ids, jnp.uint32)))


@jax.jit
def _uniform_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(ids)
