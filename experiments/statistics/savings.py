"""How many labels a strategy saves, compared with a baseline."""

from __future__ import annotations

import dataclasses

import numpy as np

from . import arguments
from .curves import Curves


@dataclasses.dataclass(frozen=True, eq=False)
class LabelsSaved:
    """Labels that a strategy saves at each number of labels, with a bootstrap interval.

    The fractions are of the labels that the baseline needs: 0.5 means half of its labels. Negative
    values mean that the strategy needs more labels than the baseline.

    Attributes:
      num_labeled: the numbers of labels n, ``[T]``.
      saved: the labels saved, ``[T]``; a bound where ``at_least`` or ``at_most`` says so.
      low: the lower end of its interval, ``[T]``; NaN if there is only one seed.
      high: the upper end, ``[T]``; infinite if the baseline falls short in too many resamples, and
        NaN if there is only one seed.
      at_least: whether ``saved`` is a lower bound, because the baseline never reaches the accuracy,
        ``[T]``.
      at_most: whether ``saved`` is an upper bound, because the accuracy is below that of the
        baseline at its first number of labels, ``[T]``.
    """

    num_labeled: np.ndarray
    saved: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_least: np.ndarray
    at_most: np.ndarray

    @property
    def fraction(self) -> np.ndarray:
        """Labels saved divided by the labels that the baseline needs, ``[T]``."""
        return self._fraction(self.saved)

    @property
    def fraction_low(self) -> np.ndarray:
        """The lower end of the interval of the fraction, ``[T]``."""
        return self._fraction(self.low)

    @property
    def fraction_high(self) -> np.ndarray:
        """The upper end of the interval of the fraction, ``[T]``; 1 where ``high`` is infinite."""
        return self._fraction(self.high)

    def _fraction(self, saved: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):  # a bound of no label at all
            return 1 - self.num_labeled / (self.num_labeled + saved)


def labels_saved(
    curves: Curves,
    strategy: str,
    baseline: str = "random",
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    key: int = 0,
) -> LabelsSaved:
    """How many labels more the baseline needs for the accuracy that a strategy has.

    The strategy has the mean accuracy A(n) over seeds with n labels. The baseline needs the
    smallest m with B(m) ≥ A(n), where B is the running maximum of its mean curve, with straight
    lines between the measured numbers of labels. The labels saved are m − n.

    The interval is that of the percentile bootstrap (Efron and Tibshirani 1993, Chapter 13): seeds
    are drawn with replacement, the same ones for both strategies. It is too narrow for few seeds.
    Where B does not reach A(n) in a resample, m counts as the last number of labels for the lower
    end and as infinite for the upper one. Where A(n) is below B at the first number of labels, m
    counts as none for the lower end and as that number for the upper one.

    Args:
      curves: the accuracies, with at least two numbers of labels.
      strategy: the strategy that may save labels.
      baseline: the strategy to compare with.
      confidence: the share of the resamples between the ends of the interval.
      num_resamples: the number of resamples R.
      key: what the resamples are drawn from; equal keys draw the same ones.

    Returns:
      The labels saved at each number of labels.

    Raises:
      ValueError: if a strategy is unknown, there is only one number of labels, there are no
        resamples, or the confidence is not a probability.
    """
    arguments.probability("confidence", confidence)
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    if curves.num_labeled.size < 2:
        raise ValueError("labels saved need curves with at least two numbers of labels")
    order = np.argsort(curves.seeds)  # so that the order of the seeds does not matter
    own, other = curves.of(strategy)[order], curves.of(baseline)[order]
    num_labeled, num_seeds = curves.num_labeled, curves.seeds.size

    everyone = np.full((1, num_seeds), 1 / num_seeds)
    least, most = _labels_needed(num_labeled, everyone, own, other)
    at_least, at_most = np.isinf(most[0]), least[0] == 0
    saved = np.where(at_least, least[0], most[0]) - num_labeled
    if num_seeds == 1:
        unknown = np.full(num_labeled.shape, np.nan)
        return LabelsSaved(num_labeled, saved, unknown, unknown, at_least, at_most)

    draws = np.random.default_rng(key).multinomial(num_seeds, everyone[0], num_resamples)
    least, most = _labels_needed(num_labeled, draws / num_seeds, own, other)
    tail = (1 - confidence) / 2  # no interpolation between resamples, because some are infinite
    low = np.quantile(least, tail, axis=0, method="lower") - num_labeled
    high = np.quantile(most, 1 - tail, axis=0, method="higher") - num_labeled
    return LabelsSaved(num_labeled, saved, low, high, at_least, at_most)


def _labels_needed(
    num_labeled: np.ndarray, weights: np.ndarray, own: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least and the most labels that a baseline may need for accuracies.

    Args:
      num_labeled: numbers of labels, ``[T]``.
      weights: how much each seed counts in the means, ``[R, S]``.
      own: accuracies of the strategy, ``[S, T]``.
      other: accuracies of the baseline, ``[S, T]``.

    Returns:
      Bounds of the labels needed, both ``[R, T]``. They are equal if the mean curve of the baseline
      passes the accuracy.
    """
    targets = arguments.without_rounding_error(weights @ own)
    best = np.maximum.accumulate(arguments.without_rounding_error(weights @ other), axis=1)
    bounds = [_crossing(num_labeled, best, target) for target in targets.T]
    least, most = zip(*bounds, strict=True)
    return np.stack(least, axis=1), np.stack(most, axis=1)


def _crossing(
    num_labeled: np.ndarray, best: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns bounds of where ascending curves ``[R, T]`` first reach their targets, ``[R]``."""
    rows = np.arange(len(best))
    first = (best < target[:, None]).sum(1)
    below, above = target < best[:, 0], first == num_labeled.size
    right = np.clip(first, 1, num_labeled.size - 1)
    left = right - 1
    rise = best[rows, right] - best[rows, left]
    inside = (first > 0) & ~above
    share = (target - best[rows, left]) / np.where(inside, rise, 1)
    crossing = num_labeled[left] + share * (num_labeled[right] - num_labeled[left])
    least = np.select([below, above], [0, num_labeled[-1]], crossing)
    most = np.select([below, above], [num_labeled[0], np.inf], crossing)
    return least, most
