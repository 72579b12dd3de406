"""The pairwise penalty matrix of BADGE."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from . import arguments
from .blocks import Problems, after_first, named
from .comparison import paired_difference


@dataclasses.dataclass(frozen=True, eq=False)
class PenaltyMatrix:
    """How often each strategy beats each other.

    Attributes:
      strategies: the names of the rows and columns, ``[M]``.
      matrix: ``matrix[i, j]`` is the number of data sets on which i beats j, ``[M, M]``. A data set
        counts in part if i beats j at a part of its numbers of labels.
      column_means: the mean of each column, ``[M]``; how often the strategy is beaten, so lower is
        better.
    """

    strategies: tuple[str, ...]
    matrix: np.ndarray
    column_means: np.ndarray


def penalty_matrix(problems: Problems, significance: float = 0.05) -> PenaltyMatrix:
    """Counts significant wins at each number of labels (Ash et al., ICLR 2020, Section 4).

    Strategy i beats j at a number of labels if its mean accuracy is higher and the two-sided paired
    t test over seeds has p < significance. Each win adds 1 / (number of budgets of the data set) to
    the entry in row i and column j, so an entry is at most the number of data sets. The mean of a
    column includes the zero on the diagonal. No p value is corrected.

    The budgets are the numbers of labels after the first: BADGE counts none before the first query,
    where all strategies agree.

    Args:
      problems: the curves on one data set, or on several by name, with the same strategies.
      significance: the largest p value, exclusive, that counts as a win.

    Raises:
      ValueError: if a data set has fewer than two seeds or fewer than two numbers of labels, data
        sets differ in their strategies, or the significance is not a probability.
    """
    arguments.probability("significance", significance)
    by_name = named(problems)
    strategies = next(iter(by_name.values())).strategies
    matrix = np.zeros((len(strategies), len(strategies)))
    for name, curves in by_name.items():
        if curves.seeds.size < 2:
            raise ValueError(f"a t test over seeds needs at least two, but {name} has one seed")
        accuracy = [after_first(curves, strategy) for strategy in strategies]
        for i, j in itertools.combinations(range(len(strategies)), 2):
            difference = paired_difference(accuracy[i], accuracy[j])
            significant = difference.p < significance
            matrix[i, j] += (significant & (difference.mean > 0)).mean()
            matrix[j, i] += (significant & (difference.mean < 0)).mean()
    return PenaltyMatrix(strategies, matrix, matrix.mean(0))
