"""Sets that are chosen one member after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ntk_al.types import ArrayLike


def greedy(
    k: int,
    values: Callable[[np.ndarray], ArrayLike],
    add: Callable[[int], None],
    *,
    available: np.ndarray,
    tie_breaks: np.ndarray,
) -> np.ndarray:
    """Chooses the row of the largest value, which may change all values, and again.

    Args:
      k: how many rows to choose.
      values: which rows may still be chosen, ``[U]``, to the value of every row, ``[U]``.
      add: takes note of the row that was chosen.
      available: which rows may be chosen, at least k of them, ``[U]``.
      tie_breaks: among equal values the row of the largest of these is chosen, ``[U]``.

    Returns:
      The rows in the order in which they were chosen, ``[k]``.
    """
    allowed, rows = available.copy(), []
    for _ in range(k):
        row = best(values(allowed), allowed, tie_breaks)
        allowed[row] = False
        add(row)
        rows.append(row)
    return np.array(rows)


def best(values: ArrayLike, allowed: np.ndarray, tie_breaks: np.ndarray) -> int:
    """The row of the largest value among the allowed ones; among equals, of the largest number."""
    values = np.where(allowed, np.asarray(values, np.float64), -np.inf)
    largest = np.flatnonzero(allowed & (values == values.max(where=allowed, initial=-np.inf)))
    return int(largest[tie_breaks[largest].argmax()])
