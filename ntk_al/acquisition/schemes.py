"""Which labels to ask for in one cycle, all at once or one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.acquisition.strategy import Strategy
from ntk_al.types import Array

Oracle = Callable[[int], int]
"""The stable id of an example to its class id: a person, or the labels of a benchmark."""

Scheme = Callable[[Array, Strategy, CandidateSet, int, Oracle], Selection]


def batch(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, oracle: Oracle
) -> Selection:
    """The strategy's k choices at once; no label is revealed in between."""
    del oracle
    return strategy(key, candidates, k)


def sequential(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, oracle: Oracle
) -> Selection:
    """One choice at a time; its label is revealed and absorbed before the next (Section 4.2).

    Absorbing is the rank-one update of the posterior: no step of SGD, no factorization, no new
    compilation. Entropy, margin and least_confidence see the posterior mean in place of the
    outputs; look-ahead criteria keep the network of before the query as reference and for their
    pseudo-labels, unless ``LookaheadOptions.move_network`` moves it along.

    Returns:
      The choices in order, with the utilities of the first; diagnostics are of the first, too.
    """
    candidates.check_choice(k)
    row_of = {int(i): row for row, i in enumerate(candidates.ids)}
    selections = []
    for step in range(k):
        selections.append(strategy(jax.random.fold_in(key, step), candidates, 1))
        chosen = int(selections[-1].ids[0])
        candidates = candidates.observe(row_of[chosen], oracle(chosen))
    return dataclasses.replace(selections[0], ids=np.concatenate([s.ids for s in selections]))


SCHEMES: dict[str, Scheme] = {"batch": batch, "sequential": sequential}
