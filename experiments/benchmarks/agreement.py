"""Whether two computations of the same scores agree, in value or in rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def check(scores: ArrayLike, reference: ArrayLike, tolerance: float) -> float:
    """The largest relative difference of scores from a reference.

    Raises:
      ArithmeticError: it is larger than the tolerance.
    """
    a, b = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    difference = float(np.max(np.abs(a - b) / np.abs(b)))
    if not difference <= tolerance:  # NaN is refused, too
        raise ArithmeticError(
            f"scores differ from their reference by {difference:.2g}, relatively; at most "
            f"{tolerance:g} is allowed. Times of wrong scores are not reported."
        )
    return difference


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def shared_top(a: ArrayLike, b: ArrayLike, count: int) -> float:
    """The share of the ``count`` largest of ``b`` that are among the ``count`` largest of ``a``."""
    top_a, top_b = (set(np.argsort(np.asarray(v))[-count:].tolist()) for v in (a, b))
    return len(top_a & top_b) / count


def _ranks(values: ArrayLike) -> np.ndarray:
    _, group, sizes = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[group]
