"""Whether two computations of the same kernel or scores agree, in value or in rank."""

from __future__ import annotations

import numpy as np
import scipy.stats  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import ArrayLike

KERNEL_TOLERANCE = 1e-5  # of an entry, over the largest entry
# A ReLU input that is zero but for rounding may count as on or as off, and two frameworks may
# disagree. That changes one example's gradient, and so its row and column, by about 1e-4.
FLIPPED_SHARE = 0.1  # of the examples, and one more, at most
FLIPPED_TOLERANCE = 1e-2


def check_kernel(name: str, theta: ArrayLike, reference: ArrayLike) -> int:
    """Compares a kernel, or its leading block, with a reference.

    Every entry must agree to ``KERNEL_TOLERANCE`` times the largest entry, except for those of the
    few examples in which rounding flipped a ReLU; those must agree to ``FLIPPED_TOLERANCE``.

    Args:
      name: of what formed the kernel, for the message.
      theta: the kernel, ``[M, M]``.
      reference: the kernel of at least as many examples, ``[N, N]``.

    Returns:
      How many examples were flipped.

    Raises:
      ArithmeticError: the kernel is wrong.
    """
    a = np.asarray(theta, np.float64)
    b = np.asarray(reference, np.float64)[: len(a), : len(a)]
    if a.shape != b.shape:
        raise ArithmeticError(f"the kernel of {name!r} is {a.shape}, the reference {b.shape}")
    difference = np.abs(a - b) / np.abs(b).max()
    num_flipped = _num_flipped(difference)
    # NaN is refused, too.
    if not difference.max() <= FLIPPED_TOLERANCE or num_flipped > 1 + FLIPPED_SHARE * len(a):
        raise ArithmeticError(
            f"the kernel of {name!r} differs from the reference by {difference.max():.2g} of its "
            f"largest entry, and by more than {KERNEL_TOLERANCE:g} because of {num_flipped} of "
            f"{len(a)} examples. Times of wrong kernels are not reported."
        )
    return num_flipped


def _num_flipped(difference: np.ndarray) -> int:
    """How many examples have to be left out until all entries of the others agree."""
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
      tolerance: of a score, relative.

    Returns:
      The largest relative difference.

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
    return float(scipy.stats.spearmanr(np.asarray(a), np.asarray(b)).statistic)


def shared_top(a: ArrayLike, b: ArrayLike, count: int) -> float:
    """The share of the ``count`` largest of ``b`` that are among the ``count`` largest of ``a``."""
    top_a, top_b = (set(np.argsort(np.asarray(v))[-count:].tolist()) for v in (a, b))
    return len(top_a & top_b) / count
