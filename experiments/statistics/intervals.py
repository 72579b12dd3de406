"""Confidence intervals of a mean."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import stats

from . import arguments


@dataclasses.dataclass(frozen=True, eq=False)
class Interval:
    """A mean with its confidence interval, in the units of the values.

    Attributes:
      mean: the mean, ``[...]``.
      low: the lower end of the interval, ``[...]``; NaN if it is unknown.
      high: the upper end, ``[...]``; NaN if it is unknown.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean_interval(values: npt.ArrayLike, axis: int = 0, confidence: float = 0.95) -> Interval:
    """The mean of independent values, with the interval of Student's t.

    The interval is mean ± t(S − 1) s / √S, where s is the standard deviation with S − 1 degrees of
    freedom. One value says nothing of its spread, so its interval is unknown: NaN.

    Args:
      values: values along one axis with S entries, usually one a seed.
      axis: that axis.
      confidence: the probability that the interval covers the true mean.

    Returns:
      The intervals, in the shape of ``values`` without the axis.

    Raises:
      ValueError: if there is no value, one of them is not finite, or the confidence is not a
        probability.

    Examples:
      >>> interval = mean_interval([0.8, 0.9])
      >>> print(f"{interval.mean:.2f}, {interval.low:.2f}, {interval.high:.2f}")
      0.85, 0.21, 1.49
    """
    values = arguments.finite("values", values)
    arguments.probability("confidence", confidence)
    if not values.ndim or not values.shape[axis]:
        raise ValueError(f"values must hold at least one value, got shape {values.shape}")
    num = values.shape[axis]
    mean = values.mean(axis)
    if num == 1:
        unknown = np.full_like(mean, np.nan)[()]
        return Interval(mean, unknown, unknown)
    half = stats.t.ppf((1 + confidence) / 2, num - 1) * stats.sem(values, axis)
    return Interval(mean, mean - half, mean + half)
