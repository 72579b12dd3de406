"""The Friedman test: do several strategies differ at all?"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from .blocks import Problems, blocks


@dataclasses.dataclass(frozen=True)
class Friedman:
    """The result of a Friedman test.

    Attributes:
      statistic: χ² with one degree of freedom fewer than strategies, corrected for ties.
      p: its p value, from the χ² distribution.
      mean_ranks: for each strategy, its mean rank over the blocks; 1 is the most accurate.
      n: the number of blocks.
    """

    statistic: float
    p: float
    mean_ranks: dict[str, float]
    n: int


def friedman(problems: Problems, unit: str = "area") -> Friedman:
    """Tests whether strategies differ, by their ranks within each block.

    This is the Friedman test of Demšar (JMLR 2006, Section 3.2.2), with the correction for ties. If
    all strategies tie in every block, the statistic is 0 and p is 1. Its χ² approximation is rough
    for few blocks and few strategies.

    Args:
      problems: the curves on one data set or on several.
      unit: what is a block, a key of ``UNITS``: "area" for data set and seed, "cycle" for data set,
        seed and number of labels after the first. Cycles of one seed are not independent.

    Raises:
      ValueError: if there are fewer than three strategies or fewer than two blocks; see also
        ``blocks``.
    """
    values = blocks(problems, unit)
    if len(values) < 3:
        raise ValueError(
            f"a Friedman test needs at least three strategies, got {', '.join(values)}"
        )
    by_block = np.stack(list(values.values()), axis=1)
    ranks = stats.rankdata(-by_block, axis=1).mean(0)
    if (np.ptp(by_block, axis=1) == 0).all():
        statistic, p = 0.0, 1.0
    else:
        statistic, p = map(float, stats.friedmanchisquare(*by_block.T))
    return Friedman(statistic, p, dict(zip(values, ranks.tolist(), strict=True)), len(by_block))
