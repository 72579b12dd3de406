"""The comparisons of Table 1 of the paper, and the same with corrections."""

from __future__ import annotations

import dataclasses
import itertools

from statsmodels.stats.multitest import multipletests

from ntk_al._utils import checks

from .blocks import Problems, blocks
from .comparison import paired_difference, wilcoxon
from .ranks import Friedman, friedman


@dataclasses.dataclass(frozen=True)
class Row:
    """Two strategies compared over the same blocks.

    Attributes:
      a: the name of a strategy.
      b: the name of another.
      difference: the mean of a − b in units of accuracy; positive if a is better.
      low: the lower end of its interval, which is not corrected for the number of rows.
      high: the upper end.
      p: the two-sided p value of the paired t test, without correction, as in the paper.
      p_holm: the same after Holm's correction over all rows of the table.
      p_wilcoxon: the two-sided p value of Wilcoxon's signed-rank test, without correction.
      p_wilcoxon_holm: the same after Holm's correction over all rows of the table.
      n: the number of blocks.
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    p_wilcoxon: float
    p_wilcoxon_holm: float
    n: int


@dataclasses.dataclass(frozen=True)
class Table:
    """A Friedman test and comparisons in pairs.

    Attributes:
      rows: one a pair of strategies.
      friedman: the Friedman test over all strategies, or ``None`` if there is none.
      without_friedman: why there is no Friedman test, or ``None`` if there is one.
      unit: what a block was, a key of ``UNITS``.
    """

    rows: tuple[Row, ...]
    friedman: Friedman | None
    without_friedman: str | None
    unit: str


def table(
    problems: Problems, against: str | None = None, unit: str = "area", confidence: float = 0.95
) -> Table:
    """Tests whether strategies differ, and which pairs of them do.

    Table 1 of the paper (Mohamadi et al., NeurIPS 2022) has a Friedman test, and then paired t
    tests without correction between the proposed method and each other. The paper does not say what
    was paired. Here it is ``unit``. "area", the default, pairs the areas under the curves of one
    seed, and its blocks are independent. "cycle" pairs the accuracies at each number of labels,
    which is the reading closest to the paper; but cycles of one seed are not independent, so it
    overstates the evidence.

    Blocks of several data sets are pooled, and each block counts the same.

    Args:
      problems: the curves on one data set, or on several by name, with the same strategies.
      against: the strategy to compare with each of the others; by default all pairs are compared.
      unit: what is a block, a key of ``UNITS``.
      confidence: the probability that one interval covers the true mean difference.

    Raises:
      ValueError: if there are fewer than two strategies or fewer than two blocks, ``against`` is
        unknown, or the confidence is not a probability; see also ``blocks``.
    """
    values = blocks(problems, unit)
    if len(values) < 2:
        raise ValueError(f"a table compares at least two strategies, got {', '.join(values)} only")
    if against is None:
        pairs = list(itertools.combinations(values, 2))
    else:
        checks.one_of("strategy", against, values)
        pairs = [(against, other) for other in values if other != against]
    differences = [paired_difference(values[a], values[b], confidence) for a, b in pairs]
    p_holm = _holm([float(difference.p) for difference in differences])
    p_wilcoxon = [wilcoxon(values[a], values[b]) for a, b in pairs]
    p_wilcoxon_holm = _holm(p_wilcoxon)
    rows = tuple(
        Row(
            a=a,
            b=b,
            difference=float(difference.mean),
            low=float(difference.low),
            high=float(difference.high),
            p=float(difference.p),
            p_holm=p_holm[i],
            p_wilcoxon=p_wilcoxon[i],
            p_wilcoxon_holm=p_wilcoxon_holm[i],
            n=len(values[a]),
        )
        for i, ((a, b), difference) in enumerate(zip(pairs, differences, strict=True))
    )
    if len(values) < 3:
        return Table(rows, None, "a Friedman test needs at least three strategies", unit)
    return Table(rows, friedman(problems, unit), None, unit)


def _holm(p: list[float]) -> list[float]:
    corrected: list[float] = multipletests(p, method="holm")[1].tolist()
    return corrected
