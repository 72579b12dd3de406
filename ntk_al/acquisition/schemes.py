"""How the labels of one cycle are queried: at once, one at a time, or knowing them already."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.oracle import best_of_many
from ntk_al.acquisition.selection import Selection
from ntk_al.acquisition.strategy import Strategy
from ntk_al.types import Array

Oracle = Callable[[int], int]
"""A function from the id of an example to its class id: a person, or the labels of a benchmark."""

Scheme = Callable[[Array, Strategy, CandidateSet, int, Oracle], Selection]
"""A function from a PRNG key, a strategy, the candidates, k and an oracle to k choices."""


def batch(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, oracle: Oracle
) -> Selection:
    """Makes k choices at once, without revealing any label in between.

    Args:
      key: PRNG key.
      strategy: chooses the candidates.
      candidates: the candidates.
      k: how many to choose.
      oracle: not called.

    Raises:
      ValueError: if k < 1 or fewer than k candidates are available.
    """
    del oracle
    return strategy(key, candidates, k)


def sequential(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, oracle: Oracle
) -> Selection:
    """Makes one choice at a time; its label is absorbed before the next choice (Section 4.2).

    Absorbing a label is a rank-one update of the posterior, which takes no step of SGD, no
    factorization and no new compilation. From the second choice on, ``entropy``, ``margin`` and
    ``least_confidence`` use the posterior mean in place of the network's outputs. Look-ahead
    criteria still take their reference and their pseudo-labels from the network as it was before
    the query, unless ``LookaheadOptions.move_network`` is set.

    Args:
      key: PRNG key.
      strategy: chooses the candidates.
      candidates: the candidates.
      k: how many to choose.
      oracle: called once with the id of each choice.

    Returns:
      The choices in order, with the utilities and the diagnostics of the first choice.

    Raises:
      ValueError: if k < 1 or fewer than k candidates are available.

    Examples:
      >>> from ntk_al import acquisition, models, training
      >>> x = np.zeros((3, 2))
      >>> network = training.initialize(jax.random.key(0), models.MLP(num_classes=2, width=4), x)
      >>> candidates = CandidateSet(network, x, np.zeros(3, int), x, ids=np.array([7, 8, 9]))
      >>> strategy = acquisition.STRATEGIES["random"]
      >>> selection = sequential(jax.random.key(0), strategy, candidates, 3, lambda i: 0)
      >>> sorted(selection.ids.tolist())
      [7, 8, 9]
    """
    candidates.check_choice(k)
    row_of = {int(i): row for row, i in enumerate(candidates.ids)}
    selections = []
    for step in range(k):
        selections.append(strategy(jax.random.fold_in(key, step), candidates, 1))
        chosen = int(selections[-1].ids[0])
        candidates = candidates.observe(row_of[chosen], oracle(chosen))
    return dataclasses.replace(selections[0], ids=np.concatenate([s.ids for s in selections]))


def best(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, oracle: Oracle
) -> Selection:
    """Chooses the best of many batches of a strategy by the true labels of all candidates.

    No strategy can do that: it is an upper line, see ``oracle.best_of_many``.

    Args:
      key: PRNG key.
      strategy: proposes the batches.
      candidates: the candidates.
      k: how many to choose.
      oracle: called once with the id of each candidate.

    Raises:
      ValueError: if k < 1 or fewer than k candidates are available.
    """
    candidates.check_choice(k)
    labels = np.array([oracle(int(i)) for i in candidates.ids], int)
    return best_of_many(key, strategy, candidates, k, labels)


SCHEMES: dict[str, Scheme] = {"batch": batch, "sequential": sequential, "oracle": best}
"""All schemes by name."""
