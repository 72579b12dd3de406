"""Blocks: the things that are compared in pairs, from one data set or several."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ntk_al._utils import checks

from . import arguments
from .area import area_under_curve
from .curves import Curves

Problems = Curves | Mapping[str, Curves]
"""The curves on one data set, or those on several by the name of the data set."""


def after_first(curves: Curves, strategy: str) -> np.ndarray:
    """Returns accuracies after at least one query, ``[S, T − 1]``.

    At the first number of labels no strategy has chosen anything yet, so all of them agree.

    Raises:
      ValueError: if there is no second number of labels, or the strategy is unknown.
    """
    if curves.num_labeled.size < 2:
        raise ValueError(
            f"accuracy was measured at {curves.num_labeled[0]} labels only, where no strategy has "
            "queried yet: curves need at least two numbers of labels"
        )
    return curves.of(strategy)[:, 1:]


def _areas(curves: Curves, strategy: str) -> np.ndarray:
    return area_under_curve(curves.num_labeled, curves.of(strategy))


UNITS = {"area": _areas, "cycle": after_first}
"""What is a block: the area under the curve of a seed, or each number of labels after the first.

The seeds of a data set are independent of each other, so areas are independent. Cycles of one seed
are not: they share their first labels, so "cycle" counts the same evidence many times, and its p
values are too small.
"""


def named(problems: Problems) -> dict[str, Curves]:
    """Returns the curves by data set, all of them with the same strategies.

    Raises:
      ValueError: if there is no data set, or one lacks a strategy of another.
    """
    by_name = {"the curves": problems} if isinstance(problems, Curves) else dict(problems)
    if not by_name:
        raise ValueError("problems must hold the curves of at least one data set")
    union = {strategy for curves in by_name.values() for strategy in curves.strategies}
    for name, curves in by_name.items():
        missing = sorted(union - {*curves.strategies})
        if missing:
            raise ValueError(
                f"all data sets need the same strategies, but {name} lacks {', '.join(missing)}: "
                "keep those that all have with Curves.select"
            )
    return by_name


def blocks(problems: Problems, unit: str = "area") -> dict[str, np.ndarray]:
    """Returns the accuracies to compare: for each strategy one value a block, ``[N]``.

    Args:
      problems: the curves on one data set or on several.
      unit: a key of ``UNITS``. The blocks are the pairs of a data set and a seed for "area", and
        the triples of a data set, a seed and a number of labels after the first for "cycle".

    Raises:
      ValueError: if the unit is unknown, there are fewer than two blocks or fewer than two numbers
        of labels, or data sets differ in their strategies.
    """
    checks.one_of("unit", unit, UNITS)
    by_name = named(problems)
    values = {
        strategy: arguments.without_rounding_error(
            np.concatenate([UNITS[unit](curves, strategy).ravel() for curves in by_name.values()])
        )
        for strategy in next(iter(by_name.values())).strategies
    }
    num = len(next(iter(values.values())))
    if num < 2:
        raise ValueError(
            f"a comparison needs at least two blocks, got {num}: add seeds or data sets"
        )
    return values
