"""How a quantity scales with the width: means over seeds, and the slope on log-log axes.

Intervals are 95 % intervals of Student's t over seeds, which are independent. Networks of different
widths with the same seed share their data, so slopes are fitted to each seed on its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats  # type: ignore[import-untyped, unused-ignore]

from ..statistics import mean_interval

Row = dict[str, Any]


def by_width(rows: Sequence[Row], quantity: str) -> list[Row]:
    """Averages a quantity over seeds for each finite width.

    Args:
      rows: rows with a ``width``, which is ``None`` at infinite width, a ``seed`` and a positive
        ``quantity``.
      quantity: its name.

    Returns:
      For each width, in order: ``width``, ``mean``, ``low``, ``high`` and ``n``, the number of
      seeds. On log axes the geometric mean is the middle, so ``mean`` is the geometric one. Its
      interval is ``None`` for a single seed.

    Examples:
      >>> rows = [{"width": 8, "seed": 0, "gap": 1.0}, {"width": 8, "seed": 1, "gap": 4.0}]
      >>> by_width(rows, "gap")[0]["mean"]
      2.0
    """
    found = []
    for width in sorted({row["width"] for row in rows if row["width"] is not None}):
        logs = [math.log(row[quantity]) for row in rows if row["width"] == width]
        mean, low, high = _interval(logs)
        low, high = (None if end is None else math.exp(end) for end in (low, high))
        found.append(
            {"width": width, "mean": math.exp(mean), "low": low, "high": high, "n": len(logs)}
        )
    return found


def slope(rows: Sequence[Row], quantity: str) -> Row | None:
    """Fits log(quantity) = a + slope · log(width) to each seed that has all widths.

    Args:
      rows: as in ``by_width``.
      quantity: its name.

    Returns:
      ``mean``, ``low`` and ``high`` of the slopes, and ``of_seeds``, one for each seed; ``None`` if
      there are fewer than two widths, or no seed has all of them.
    """
    finite = [row for row in rows if row["width"] is not None]
    widths = {row["width"] for row in finite}
    slopes = []
    for seed in sorted({row["seed"] for row in finite}):
        own = [row for row in finite if row["seed"] == seed]
        if len(widths) > 1 and {row["width"] for row in own} == widths:
            x, y = np.log([(row["width"], row[quantity]) for row in own]).T
            slopes.append(float(scipy.stats.linregress(x, y).slope))
    if not slopes:
        return None
    mean, low, high = _interval(slopes)
    return {"mean": mean, "low": low, "high": high, "of_seeds": slopes}


def _interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Returns the mean and the ends of its interval; JSON has no NaN for what is unknown."""
    interval = mean_interval(values)
    if len(values) == 1:
        return float(interval.mean), None, None
    return float(interval.mean), float(interval.low), float(interval.high)
