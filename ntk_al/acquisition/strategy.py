"""Strategies, and the three ways to build one.

``ranked`` takes the candidates with the highest utilities, ``label_aware`` does so for utilities
that change as labels arrive, and ``jointly`` chooses a set as a whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.selection import Selection
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.factorization import Conditioned
from ntk_al.lookahead.greedy import shortlist, significant
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.types import Array, ArrayLike

_NOTHING: Mapping[str, float] = MappingProxyType({})


class Utilities(NamedTuple):
    """How much the label of each candidate is worth.

    Attributes:
      values: ``[U]``, higher = query first.
      diagnostics: numbers worth recording.
    """

    values: ArrayLike
    diagnostics: Mapping[str, float] = _NOTHING


class Choice(NamedTuple):
    """A set that was chosen as a whole.

    Attributes:
      rows: rows of the chosen candidates, in order, ``[k]``.
      utilities: utility of every candidate before the first choice, ``[U]``.
      diagnostics: numbers worth recording.
    """

    rows: np.ndarray
    utilities: ArrayLike
    diagnostics: Mapping[str, float] = _NOTHING


Utility = Callable[[Array, CandidateSet], Utilities]
"""A function from a PRNG key and the candidates to their utilities."""

JointChoice = Callable[[Array, CandidateSet, int], Choice]
"""A function from a PRNG key, the candidates and k to a choice.

It must not choose rows that are not ``candidates.available``. Random draws and ties must depend on
the ids of candidates, not on their positions."""


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A way to choose what to label next, called as ``strategy(key, candidates, k)``.

    Attributes:
      choose: maps a PRNG key, the candidates and k to the selection.
      needs: what the network must have, as keys of ``requirements.NEEDS``.
      ranks: true if the strategy takes the k highest utilities, false if it chooses a set as a
        whole.
      retrains: true if it trains a network for every candidate, which only small pools allow.
    """

    choose: Callable[[Array, CandidateSet, int], Selection]
    needs: tuple[str, ...] = ()
    ranks: bool = True
    retrains: bool = False

    def __call__(self, key: Array, candidates: CandidateSet, k: int) -> Selection:
        """Chooses k candidates.

        Args:
          key: PRNG key for random draws and for ties.
          candidates: the candidates.
          k: how many to choose.

        Returns:
          The ids of the k chosen candidates, and the utility of every candidate.

        Raises:
          TypeError: if ``key`` is not a PRNG key.
          ValueError: if k < 1, fewer than k candidates are available, or no available candidate has
            a utility, that is, every one is NaN or −inf.
        """
        checks.key("key", key)
        candidates.check_choice(k)
        selection = self.choose(key, candidates, k)
        diagnostics = {**candidates.facts, **selection.diagnostics}
        return dataclasses.replace(selection, diagnostics=diagnostics)


def ranked(utility: Utility, *, needs: tuple[str, ...] = (), retrains: bool = False) -> Strategy:
    """Makes a strategy that takes the k candidates with the highest utilities.

    Ties are broken at random, by the key of the call.

    Args:
      utility: computes the utilities of the candidates.
      needs: what the network must have, as keys of ``requirements.NEEDS``.
      retrains: whether the utility trains a network for every candidate.
    """

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        available = candidates.available
        utility_key, tie_key = jax.random.split(key)
        values, diagnostics = utility(utility_key, candidates)
        utilities = _masked(values, available)
        order = np.lexsort((uniform_by_id(tie_key, candidates.ids), -significant(utilities)))
        # An available candidate with utility −inf still precedes those that are not available.
        order = order[np.argsort(~available[order], kind="stable")]
        return Selection(candidates.ids[order[:k]], utilities, dict(diagnostics))

    return Strategy(choose, needs, retrains=retrains)


def network_outputs(candidates: CandidateSet) -> ArrayLike:
    """Returns the network's outputs f at the candidates, ``[U, C]``."""
    return candidates.network_logits


def moved_outputs(candidates: CandidateSet) -> ArrayLike:
    """Returns the network's outputs after the labels that have moved them, ``[U, C]``."""
    if not candidates.observed:
        return candidates.network_logits
    return np.asarray(candidates.posterior.logits)[: len(candidates.x)]


def label_aware(
    utility: Utility,
    *,
    needs: tuple[str, ...] = (),
    retrains: bool = False,
    outputs: Callable[[CandidateSet], ArrayLike] = moved_outputs,
) -> Strategy:
    """Makes a strategy from a utility that changes as labels arrive.

    ``options.batch_mode`` decides how it forms a batch. ``"top_k"`` takes the k highest scores, as
    the paper does. ``"greedy"`` works like a sequential query that uses the network's own labels:
    each pick is absorbed with its pseudo-label, argmax f(x_j), before the next candidate is scored,
    and moves f. From then on, changes are measured from the outputs after the picks so far. Near
    copies of a pick are then hardly worth a label, except under ``eer``, which also gains by making
    sure.

    Args:
      utility: computes the utilities of the candidates.
      needs: what the network must have, as keys of ``requirements.NEEDS``.
      retrains: whether the utility trains a network for every candidate.
      outputs: computes the outputs ``[U, C]`` whose argmax is the pseudo-label; by default these
        are the network's, as the posterior has moved them.
    """
    strategy = ranked(utility, needs=needs, retrains=retrains)

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        if candidates.options.batch_mode == "top_k":
            return strategy(key, candidates, k)
        row_of = {int(i): row for row, i in enumerate(candidates.ids)}
        picks: list[Selection] = []
        for step in range(k):
            step_key = jax.random.fold_in(key, step) if step else key
            picks.append(strategy(step_key, candidates, 1))
            row = row_of[int(picks[-1].ids[0])]
            if step == 0 and candidates.takes_landmarks:
                candidates = _shortlisted(candidates, picks[0].utilities, k)
            if step + 1 < k:
                label = int(np.asarray(outputs(candidates))[row].argmax())
                candidates = candidates.observe(row, label, is_assumed=True)
        return dataclasses.replace(picks[0], ids=np.concatenate([pick.ids for pick in picks]))

    return Strategy(choose, needs, retrains=retrains)


def _shortlisted(candidates: CandidateSet, utilities: np.ndarray, k: int) -> CandidateSet:
    """Excludes all but the candidates of the highest utilities, if there are many."""
    rows = shortlist(utilities, k)
    if rows is None:
        return candidates
    return candidates.exclude(np.setdiff1d(np.arange(len(utilities)), rows))


def jointly(choice: JointChoice, *, needs: tuple[str, ...] = ()) -> Strategy:
    """Makes a strategy that chooses a set as a whole.

    Args:
      choice: chooses the set; it must not depend on the order of the candidates.
      needs: what the network must have, as keys of ``requirements.NEEDS``.
    """

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        rows, values, diagnostics = choice(key, candidates, k)
        utilities = _masked(values, candidates.available)
        return Selection(candidates.ids[np.asarray(rows)], utilities, dict(diagnostics))

    return Strategy(choose, needs, ranks=False)


def uniform_by_id(key: Array, ids: np.ndarray) -> np.ndarray:
    """Draws a uniform number for each id, ``[U]``, which does not depend on the id's position."""
    return np.asarray(_uniform_by_id(key, jnp.asarray(ids, jnp.uint32)))


def facts(fitted: Belief | Conditioned) -> dict[str, float]:
    """Returns the ridge and the condition number of a factorization, as diagnostics."""
    found = {
        "ridge": float(f"{fitted.ridge:.6g}"),
        "condition_number": float(f"{fitted.condition_number:.6g}"),
    }
    if isinstance(fitted, LandmarkPosterior):
        found |= {name: value for name, value in fitted.facts().items() if value is not None}
    return found


@jax.jit
def _uniform_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(ids)


def _masked(values: ArrayLike, available: np.ndarray) -> np.ndarray:
    utilities = np.array(jax.device_get(values), np.float64)
    utilities[~available | np.isnan(utilities)] = -np.inf
    if np.isneginf(utilities).all():
        raise ValueError(
            f"none of the {int(available.sum())} available candidates has a utility: all are NaN "
            "or -inf. Where a network is involved, its outputs or its gradients are probably too "
            "large: normalize the inputs, or retrain with a lower learning rate"
        )
    return utilities
