"""Greedy selection: choosing the members of a set one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ntk_al.types import ArrayLike

SHORTLIST = 2048
"""With landmarks, a greedy batch is chosen among that many candidates of the highest scores."""


def greedy(
    k: int,
    values: Callable[[np.ndarray], ArrayLike],
    add: Callable[[int], None],
    *,
    available: np.ndarray,
    tie_breaks: np.ndarray,
) -> np.ndarray:
    """Chooses k rows one at a time, each time the row with the largest current value.

    Args:
      k: how many rows to choose.
      values: maps a mask of the rows that may still be chosen, ``[U]``, to the current value of
        every row, ``[U]``.
      add: called with each chosen row, so that the next values can take it into account.
      available: a mask of the rows that may be chosen, at least k of them, ``[U]``.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

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


def shortlist(values: np.ndarray, k: int) -> np.ndarray | None:
    """Returns the rows among which a greedy batch is chosen if there are too many to score again.

    Args:
      values: the values before the first choice, ``[U]``.
      k: how many rows will be chosen.

    Returns:
      The rows of the highest values, ascending, at least ``SHORTLIST``; ``None`` if these would be
      more than half of all.
    """
    num = max(SHORTLIST, 10 * k)
    if 2 * num > len(values):
        return None
    return np.sort(np.argsort(-significant(values), kind="stable")[:num])


def among_all(values: ArrayLike, rows: np.ndarray | None, num: int) -> np.ndarray:
    """Returns the values of some rows among all ``num``, where the others have −inf, ``[num]``."""
    if rows is None:
        return np.asarray(values)
    whole = np.full(num, -np.inf)
    whole[rows] = values
    return whole


def best(values: ArrayLike, allowed: np.ndarray, tie_breaks: np.ndarray) -> int:
    """Returns the allowed row of the largest value; the largest tie break decides among equals."""
    values = np.where(allowed, np.asarray(values, np.float64), -np.inf)
    largest = np.flatnonzero(allowed & (values == values.max(where=allowed, initial=-np.inf)))
    return int(largest[tie_breaks[largest].argmax()])


def significant(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """Rounds values, so that copies of an example tie although their positions change rounding."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa, digits), exponent)
