"""What a strategy is, and two ways to make one: rank by a utility, or choose a set as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.types import Array, ArrayLike

Utility = Callable[[Array, CandidateSet], tuple[ArrayLike, dict[str, float]]]
"""A PRNG key and the candidates to utilities ``[U]`` (higher = queried first) and diagnostics."""

JointChoice = Callable[[Array, CandidateSet, int], tuple[np.ndarray, ArrayLike, dict[str, float]]]
"""A PRNG key, the candidates and k to the rows chosen in order ``[k]``, utilities ``[U]`` before
the first choice, and diagnostics. Rows that are not ``candidates.available`` must not be chosen;
what is random or tied must go by id and not by position."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A way to choose what to label, called as ``strategy(key, candidates, k)``.

    Attributes:
      choose: a PRNG key, the candidates and k to the k chosen ones.
      needs: what the network must have for it, keys of ``requirements.NEEDS``.
      ranks: whether it takes the k highest utilities, and not a set that was chosen as a whole.
    """

    choose: Callable[[Array, CandidateSet, int], Selection]
    needs: tuple[str, ...] = ()
    ranks: bool = True

    def __call__(self, key: Array, candidates: CandidateSet, k: int) -> Selection:
        """Chooses k candidates.

        Raises:
          ValueError: fewer than k candidates, or k < 1.
        """
        candidates.check_choice(k)
        return self.choose(key, candidates, k)


def ranked(utility: Utility, *, needs: tuple[str, ...] = ()) -> Strategy:
    """The strategy that takes the k candidates of highest utility; ties are broken by the key."""

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        available = candidates.available
        utility_key, tie_key = jax.random.split(key)
        values, diagnostics = utility(utility_key, candidates)
        utilities = _masked(values, available)
        order = np.lexsort((uniform_by_id(tie_key, candidates.ids), -_significant(utilities)))
        # A candidate whose utility is −inf is still preferred to one that is not available.
        order = order[np.argsort(~available[order], kind="stable")]
        return Selection(candidates.ids[order[:k]], utilities, diagnostics)

    return Strategy(choose, needs)


def jointly(choice: JointChoice, *, needs: tuple[str, ...] = ()) -> Strategy:
    """The strategy that chooses a set as a whole, whatever the order of the pool."""

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        rows, values, diagnostics = choice(key, candidates, k)
        utilities = _masked(values, candidates.available)
        return Selection(candidates.ids[np.asarray(rows)], utilities, diagnostics)

    return Strategy(choose, needs, ranks=False)


def uniform_by_id(key: Array, ids: np.ndarray) -> np.ndarray:
    """Uniform numbers that belong to ids: reordering the pool reorders them along, ``[U]``."""
    return np.asarray(_uniform_by_id(key, jnp.asarray(ids, jnp.uint32)))


@jax.jit
def _uniform_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(ids)


def best(values: ArrayLike, allowed: np.ndarray, tie_breaks: np.ndarray) -> int:
    """The row of the largest value among the allowed ones; among equals, of the largest number."""
    values = np.where(allowed, np.asarray(values, np.float64), -np.inf)
    largest = np.flatnonzero(allowed & (values == values.max(where=allowed, initial=-np.inf)))
    return int(largest[tie_breaks[largest].argmax()])


def _significant(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """Values to so many digits: copies of an example differ by their place in a batch, and tie."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa, digits), exponent)


def _masked(values: ArrayLike, available: np.ndarray) -> np.ndarray:
    utilities = np.array(values, np.float64)
    utilities[~available | np.isnan(utilities)] = -np.inf
    return utilities
