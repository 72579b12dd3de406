"""Checks whether two computations of a kernel or of scores agree, in value or in rank."""

from __future__ import annotations

import numpy as np
import scipy.stats  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import ArrayLike

KERNEL_TOLERANCE = 1e-5  # for an entry, relative to the largest entry
# If the input of a ReLU is zero up to rounding, two frameworks may disagree on whether it is on.
# That changes the example's gradient, and with it a row and a column, by about 1e-4.
FLIPPED_SHARE = 0.1  # at most this share of the examples, and one more, may be flipped
FLIPPED_TOLERANCE = 1e-2


def check_kernel(name: str, theta: ArrayLike, reference: ArrayLike) -> int:
    """Compares a kernel, or its leading block, with a reference.

    Every entry must agree to ``KERNEL_TOLERANCE`` times the largest entry. The only exceptions are
    the entries of a few examples in which rounding flipped a ReLU, which must agree to
    ``FLIPPED_TOLERANCE``.

    Args:
      name: the name of the contestant, for the message.
      theta: the kernel, ``[M, M]``.
      reference: the kernel of at least as many examples, ``[N, N]``.

    Returns:
      The number of flipped examples.

    Raises:
      ArithmeticError: if the kernel is wrong.
    """
    a = np.asarray(theta, np.float64)
    b = np.asarray(reference, np.float64)[: len(a), : len(a)]
    if a.shape != b.shape:
        raise ArithmeticError(
            f"the kernel of {name!r} has shape {a.shape}, but the reference has shape {b.shape}"
        )
    difference = np.abs(a - b) / np.abs(b).max()
    num_flipped = _num_flipped(difference)
    # This form of the condition also rejects NaN.
    if not difference.max() <= FLIPPED_TOLERANCE or num_flipped > 1 + FLIPPED_SHARE * len(a):
        raise ArithmeticError(
            f"the kernel of {name!r} differs from the reference by {difference.max():.2g} of its "
            f"largest entry, and by more than {KERNEL_TOLERANCE:g} because of {num_flipped} of "
            f"{len(a)} examples. Times of wrong kernels are not reported."
        )
    return num_flipped


def _num_flipped(difference: np.ndarray) -> int:
    """Counts how many examples must be left out so that all entries of the others agree."""
    disagree = ~(difference <= KERNEL_TOLERANCE)
    disagree |= disagree.T
    num_left_out = 0
    while disagree.any():
        worst = disagree.sum(0).argmax()
        disagree[worst] = disagree[:, worst] = False
        num_left_out += 1
    return num_left_out


def check_scores(scores: ArrayLike, reference: ArrayLike, tolerance: float) -> float:
    """Compares scores with a reference.

    Args:
      scores: ``[U]``.
      reference: ``[U]``.
      tolerance: the largest accepted relative difference of a score.

    Returns:
      The largest relative difference.

    Raises:
      ArithmeticError: if it exceeds the tolerance.
    """
    a, b = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    difference = float(np.max(np.abs(a - b) / np.abs(b)))
    if not difference <= tolerance:  # this form also rejects NaN
        raise ArithmeticError(
            f"scores differ from their reference by a relative {difference:.2g}, but at most "
            f"{tolerance:g} is allowed. Times of wrong scores are not reported."
        )
    return difference


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Computes Spearman's rank correlation; equal values share their mean rank."""
    return float(scipy.stats.spearmanr(np.asarray(a), np.asarray(b)).statistic)


def shared_top(a: ArrayLike, b: ArrayLike, count: int) -> float:
    """Computes which share of the ``count`` largest of ``b`` is among those of ``a``."""
    top_a, top_b = (set(np.argsort(np.asarray(v))[-count:].tolist()) for v in (a, b))
    return len(top_a & top_b) / count
