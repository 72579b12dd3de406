"""Panels that several figures share: accuracies, and differences from random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..statistics import Curves, mean_interval
from . import labels, style
from .drawn import Rows

_MOST_TICKS = 8


def styles(strategies: Mapping[str, str]) -> dict[str, style.Style]:
    """Gives every method a style: the color of its strategy, and dashes of its own.

    Args:
      strategies: for each label of a method, the name of its strategy.
    """
    seen: dict[str, int] = {}
    found = {}
    for label, strategy in sorted(strategies.items(), key=lambda item: item[0] != item[1]):
        found[label] = style.of(strategy, seen.get(strategy, 0))
        seen[strategy] = seen.get(strategy, 0) + 1
    return found


def draw_accuracy(
    axes: Any, problem: str, curves: Curves, styles: Mapping[str, style.Style]
) -> Rows:
    """Draws mean test accuracy against the number of labels, with 95 % intervals as bands.

    Returns:
      The numbers that were drawn.
    """
    rows: Rows = []
    ends = {}
    for label in curves.strategies:
        own = 100 * curves.of(label)
        rows += _draw_line(axes, curves, own, styles[label])
        for row in rows[-len(curves.num_labeled) :]:
            row.update(problem=problem, method=label, quantity="accuracy [%]")
        ends[label] = (curves.num_labeled[-1], own[:, -1].mean(), styles[label].color)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 103))  # an interval of few seeds may leave 0 to 100 %
    _finish(axes, curves, "test accuracy [%]")
    labels.at_ends(axes, ends)
    return rows


def draw_difference(
    axes: Any,
    problem: str,
    curves: Curves,
    styles: Mapping[str, style.Style],
    baselines: Mapping[str, str],
    limits: tuple[float, float],
) -> Rows:
    """Draws mean paired differences from a baseline, in percentage points.

    Args:
      axes: where to draw.
      problem: the name of the problem.
      curves: accuracies.
      styles: the style of each method.
      baselines: for each method that is drawn, the label of its baseline.
      limits: the ends of the y axis, the same for all panels of a figure.

    Returns:
      The numbers that were drawn.
    """
    rows: Rows = []
    ends = {}
    for label, baseline in baselines.items():
        own = 100 * (curves.of(label) - curves.of(baseline))
        rows += _draw_line(axes, curves, own, styles[label])
        for row in rows[-len(curves.num_labeled) :]:
            row.update(problem=problem, method=label, quantity=f"minus {baseline} [points]")
        ends[label] = (curves.num_labeled[-1], own[:, -1].mean(), styles[label].color)
    axes.axhline(0, color=style.GRAY, lw=1.2, zorder=1)
    axes.set_ylim(*limits)
    _finish(axes, curves, "accuracy minus random [points]")
    _write_baseline(axes, curves, next(iter(baselines.values())))
    labels.at_ends(axes, ends)
    return rows


def limits(drawn: Sequence[tuple[Curves, Mapping[str, str]]]) -> tuple[float, float]:
    """Returns ends of a y axis that hold all means and intervals of some panels of differences."""
    lows, highs = [0.0], [0.0]
    for curves, baselines in drawn:
        for label, baseline in baselines.items():
            found = mean_interval(100 * (curves.of(label) - curves.of(baseline)))
            lows.append(float(np.fmin(found.low, found.mean).min()))
            highs.append(float(np.fmax(found.high, found.mean).max()))
    span = max(highs) - min(lows) or 1.0
    return min(lows) - 0.05 * span, max(highs) + 0.15 * span  # room for what stands at the top


def _draw_line(axes: Any, curves: Curves, values: Any, look: style.Style) -> Rows:
    found = mean_interval(values)
    x = curves.num_labeled
    axes.plot(
        x,
        found.mean,
        color=look.color,
        ls=look.dashes,
        lw=look.width,
        marker=look.marker,
        ms=4,
        mec="white",
        mew=0.5,
        zorder=3,
    )
    if len(curves.seeds) > 1:
        axes.fill_between(x, found.low, found.high, color=look.color, alpha=0.13, lw=0, zorder=2)
    return [
        {
            "num_labeled": int(x[i]),
            "mean": round(float(found.mean[i]), 4),
            "low": round(float(found.low[i]), 4),
            "high": round(float(found.high[i]), 4),
            "seeds": len(curves.seeds),
        }
        for i in range(len(x))
    ]


def _write_baseline(axes: Any, curves: Curves, baseline: str) -> None:
    """Writes the accuracies of the baseline along the top, as the paper does."""
    means = 100 * curves.of(baseline).mean(0)
    every = -(-len(means) // _MOST_TICKS)
    for x, mean in list(zip(curves.num_labeled, means, strict=True))[::every]:
        axes.annotate(
            f"{mean:.1f}",
            (x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
            color=style.GRAY,
        )
    axes.annotate(
        f"accuracy of {baseline} [%]:",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize=7,
        color=style.GRAY,
    )


def _finish(axes: Any, curves: Curves, quantity: str) -> None:
    axes.set_xlabel("labeled examples")
    axes.set_ylabel(quantity)
    if len(curves.num_labeled) <= _MOST_TICKS:
        axes.set_xticks(curves.num_labeled)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=_MOST_TICKS))
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.06)


def caption(curves: Mapping[str, Curves], more: Sequence[str] = ()) -> str:
    """Says what bands and lines are, over how many seeds, and what else a reader must know."""
    numbers = sorted({len(one.seeds) for one in curves.values()})
    seeds = "–".join(map(str, dict.fromkeys([numbers[0], numbers[-1]])))
    bands = f"Means over {seeds} paired seeds" if numbers[-1] > 1 else "A single seed"
    if numbers[-1] > 1:
        bands += ", with 95 % intervals"
    return "; ".join([bands, *more]) + "."
