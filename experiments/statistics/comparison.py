"""Two strategies compared in pairs of values that share a seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import stats

from . import arguments
from .intervals import mean_interval

_MOST_EXACT = 50  # as in scipy


@dataclasses.dataclass(frozen=True, eq=False)
class PairedDifference:
    """A mean difference with its confidence interval and the p value of the paired t test.

    Attributes:
      mean: the mean of a − b, in units of accuracy, ``[...]``.
      low: the lower end of its interval, ``[...]``; NaN if there is only one pair.
      high: the upper end, ``[...]``; NaN if there is only one pair.
      p: the two-sided p value for a true mean of zero, ``[...]``; NaN if there is only one pair.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, confidence: float = 0.95
) -> PairedDifference:
    """The mean of a − b over pairs, with its interval and the two-sided paired t test.

    If all differences are equal, t is not defined, and p is its limit for a vanishing variance: 1
    if the differences are zero, and 0 if they are not. Zero is no proof: a few pairs can agree by
    chance. Differences are compared after rounding to 12 decimals.

    Args:
      a: accuracies, ``[S, ...]``.
      b: accuracies from the same seeds in the same order, ``[S, ...]``.
      confidence: the probability that an interval covers the true mean.

    Returns:
      The difference in the shape of a without its first axis, a scalar for ``[S]``.

    Raises:
      ValueError: if shapes differ, there is no pair, a value is not finite, or the confidence is
        not a probability.

    Examples:
      >>> print(f"{paired_difference([0.8, 0.9, 0.9], [0.7, 0.7, 0.6]).p:.3f}")
      0.074
    """
    differences = _differences(a, b)
    interval = mean_interval(differences, confidence=confidence)
    num = len(differences)
    if num == 1:
        p = np.full(differences.shape[1:], np.nan)
    else:
        flat = differences.reshape(num, -1)
        varied = np.ptp(flat, axis=0) > 0
        p = np.where(flat[0] == 0, 1.0, 0.0)
        p[varied] = stats.ttest_1samp(flat[:, varied], 0.0).pvalue
        p = p.reshape(differences.shape[1:])
    return PairedDifference(interval.mean, interval.low, interval.high, p[()])


def wilcoxon(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The two-sided p value of Wilcoxon's signed-rank test for pairs.

    Pairs without a difference are left out, as Wilcoxon did; if none is left, p is 1. Up to 50
    pairs p is exact, also if differences tie, and beyond that it is scipy's normal approximation.
    Differences are compared after rounding to 12 decimals. With n pairs no p is below 2^(1 − n), so
    fewer than six seeds cannot reach 0.05.

    Args:
      a: accuracies, ``[S]``.
      b: accuracies from the same seeds in the same order, ``[S]``.

    Raises:
      ValueError: if shapes differ, there is no pair, or a value is not finite.

    Examples:
      >>> wilcoxon([0.8, 0.9, 0.9], [0.7, 0.7, 0.6])
      0.25
    """
    differences = _differences(a, b)
    if differences.ndim != 1:
        raise ValueError(f"a and b must have one axis, got shape {differences.shape}")
    differences = differences[differences != 0]
    if not differences.size:
        return 1.0
    if np.unique(np.abs(differences)).size < differences.size <= _MOST_EXACT:
        return _wilcoxon_with_ties(differences)
    return float(stats.wilcoxon(differences).pvalue)


def _wilcoxon_with_ties(differences: np.ndarray) -> float:
    """Returns the exact p value, from the number of signs that lead to each sum of ranks.

    scipy permutes signs up to 13 pairs, which takes seconds, and has only an approximation for
    more.
    """
    doubled = (2 * stats.rankdata(np.abs(differences))).astype(int)  # ranks of ties may be halves
    ways = np.ones(1)
    for rank in doubled:
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    smaller = min(doubled[differences > 0].sum(), doubled[differences < 0].sum())
    return float(min(1.0, 2 * ways[: smaller + 1].sum() / 2**differences.size))


def _differences(a: npt.ArrayLike, b: npt.ArrayLike) -> np.ndarray:
    """Returns a − b, ``[S, ...]``; raises ValueError unless these are pairs of finite values."""
    a = arguments.finite("a", a)
    b = arguments.finite("b", b)
    if a.shape != b.shape or not a.ndim or not len(a):
        raise ValueError(
            f"a and b must hold pairs from the same seeds, got shapes {a.shape} and {b.shape}"
        )
    return arguments.without_rounding_error(a - b)
