"""What a strategy is, and the three ways to make one.

``ranked`` takes the candidates of the highest utilities, ``label_aware`` does so for utilities that
change as labels arrive, and ``jointly`` chooses a set as a whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Factor, Posterior
from ntk_al.types import Array, ArrayLike

_NOTHING: Mapping[str, float] = MappingProxyType({})


class Utilities(NamedTuple):
    """What each candidate is worth.

    Attributes:
      values: ``[U]``, higher = queried first.
      diagnostics: facts for the record.
    """

    values: ArrayLike
    diagnostics: Mapping[str, float] = _NOTHING


class Choice(NamedTuple):
    """A set that was chosen as a whole.

    Attributes:
      rows: of the chosen candidates, in order, ``[k]``.
      utilities: of every candidate before the first choice, ``[U]``.
      diagnostics: facts for the record.
    """

    rows: np.ndarray
    utilities: ArrayLike
    diagnostics: Mapping[str, float] = _NOTHING


Utility = Callable[[Array, CandidateSet], Utilities]
"""A PRNG key and the candidates to their utilities."""

JointChoice = Callable[[Array, CandidateSet, int], Choice]
"""A PRNG key, the candidates and k to the choice. Rows that are not ``candidates.available`` must
not be chosen, and what is random or tied must depend on ids and not on positions."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A way to choose what to label, called as ``strategy(key, candidates, k)``.

    Attributes:
      choose: a PRNG key, the candidates and k to the k chosen ones.
      needs: what the network must have for it, keys of ``requirements.NEEDS``.
      ranks: whether it takes the k highest utilities, and not a set that was chosen as a whole.
      retrains: whether it trains a network for every candidate, which only small pools allow.
    """

    choose: Callable[[Array, CandidateSet, int], Selection]
    needs: tuple[str, ...] = ()
    ranks: bool = True
    retrains: bool = False

    def __call__(self, key: Array, candidates: CandidateSet, k: int) -> Selection:
        """Chooses k candidates.

        Raises:
          ValueError: fewer than k candidates, or k < 1.
        """
        candidates.check_choice(k)
        return self.choose(key, candidates, k)


def ranked(utility: Utility, *, needs: tuple[str, ...] = (), retrains: bool = False) -> Strategy:
    """The strategy that takes the k candidates of highest utility; ties are broken by the key."""

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        available = candidates.available
        utility_key, tie_key = jax.random.split(key)
        values, diagnostics = utility(utility_key, candidates)
        utilities = _masked(values, available)
        order = np.lexsort((uniform_by_id(tie_key, candidates.ids), -_significant(utilities)))
        # A candidate whose utility is −inf is still preferred to one that is not available.
        order = order[np.argsort(~available[order], kind="stable")]
        return Selection(candidates.ids[order[:k]], utilities, dict(diagnostics))

    return Strategy(choose, needs, retrains=retrains)


def network_outputs(candidates: CandidateSet) -> Array:
    """The outputs f at the candidates, ``[U, C]``, whose argmax is the pseudo-label."""
    return candidates.network_logits


def label_aware(
    utility: Utility,
    *,
    needs: tuple[str, ...] = (),
    retrains: bool = False,
    outputs: Callable[[CandidateSet], Array] = network_outputs,
) -> Strategy:
    """The strategy of a utility that changes as labels arrive.

    Its batches follow ``options.batch_mode``. The paper takes the k highest scores. A greedy batch
    is a sequential query whose labels are the network's own: each pick is absorbed with its
    pseudo-label, argmax f(x_j), before the next is scored, so that near copies of a pick are no
    longer worth a label.

    Args:
      utility: of the candidates.
      needs: what the network must have.
      retrains: whether it trains a network for every candidate.
      outputs: what pseudo-labels come from, ``[U, C]``, where that is not the network.
    """
    strategy = ranked(utility, needs=needs, retrains=retrains)

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

    return Strategy(choose, needs, retrains=retrains)


def jointly(choice: JointChoice, *, needs: tuple[str, ...] = ()) -> Strategy:
    """The strategy that chooses a set as a whole, whatever the order of the pool."""

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        rows, values, diagnostics = choice(key, candidates, k)
        utilities = _masked(values, candidates.available)
        return Selection(candidates.ids[np.asarray(rows)], utilities, dict(diagnostics))

    return Strategy(choose, needs, ranks=False)


def uniform_by_id(key: Array, ids: np.ndarray) -> np.ndarray:
    """Uniform numbers that belong to ids: reordering the pool reorders them along, ``[U]``."""
    return np.asarray(_uniform_by_id(key, jnp.asarray(ids, jnp.uint32)))


def facts(fitted: Posterior | FullPosterior | Factor) -> dict[str, float]:
    """Ridge and condition number of a factorization, for the record."""
    return {
        "ridge": float(f"{fitted.ridge:.6g}"),
        "condition_number": float(f"{fitted.condition_number:.6g}"),
    }


@jax.jit
def _uniform_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(ids)


def _significant(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """Values to so many digits: copies of an example differ by their place in a batch, and tie."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa, digits), exponent)


def _masked(values: ArrayLike, available: np.ndarray) -> np.ndarray:
    utilities = np.array(values, np.float64)
    utilities[~available | np.isnan(utilities)] = -np.inf
    return utilities
