"""Figures of the studies of the theory: gaps against the width, on log-log axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import LogLocator

from ..studies import scaling
from . import pages
from .drawn import Drawn, Rows

THEORY = -0.5
"""The slope of the paper's bound, O(1/√width)."""

_NAMES = {"relu": "ReLU"}
_POINT_SHIFT = 1.06  # points stand beside the interval, not on it


def draw(sequential: dict[str, Any], linearizations: Sequence[dict[str, Any]], title: str) -> Drawn:
    """Draws a panel for each study.

    Args:
      sequential: the result of ``studies.sequential_training``.
      linearizations: results of ``studies.linearization``, of several activations.
      title: the title of the figure.

    Raises:
      ValueError: if these are other results.
    """
    import matplotlib.pyplot as plt

    for result, name in [
        (sequential, "sequential_training"),
        *((r, "linearization") for r in linearizations),
    ]:
        if not isinstance(result, dict) or result.get("definition", {}).get("study") != name:
            raise ValueError(f"these are not results of studies.{name}")
    if not all(row for result in (sequential, *linearizations) for row in [rows(result)]):
        raise ValueError("a study has no finite width yet")
    number = 1 + len(linearizations)
    figure, panels = plt.subplots(
        1, number, figsize=(5.2 * number, 4.0), gridspec_kw={"wspace": 0.6}
    )
    draw_sequential_training(sequential, panels[0])
    panels[0].set_title("Theorem 3.1", fontsize=10, loc="right")
    found = _named("gap, relative to what training changed", sequential, "gap")
    found += _named("gap, relative to what x' changed", sequential, "gap_of_change")
    for axes, result in zip(panels[1:], linearizations, strict=True):
        draw_linearization(result, axes)
        activation = result["definition"]["activation"]
        axes.set_title(f"Eq. 9, {_NAMES.get(activation, activation)}", fontsize=10, loc="right")
        found += _named(f"rms of f - f_lin, {activation}", result, "rms_difference")
    seeds = len({row["seed"] for row in sequential["rows"]})
    definition = sequential["definition"]
    notes = [
        f"Digits, {definition['num_labeled']} labels, {definition['depth']} hidden layers in the "
        f"NTK parameterization, full-batch gradient descent to convergence; {seeds} seeds.",
        "Bars are 95 % intervals of geometric means; slopes have 95 % intervals over seeds. "
        "Dashed: the bound's slope of −1/2.",
    ]
    pages.finish(figure, title, notes)
    return Drawn(figure, found, notes)


def _named(quantity: str, result: dict[str, Any], name: str) -> Rows:
    return [{"quantity": quantity, **row} for row in rows(result, name)]


def draw_sequential_training(result: dict[str, Any], axes: Any) -> None:
    """Draws how far sequential training ends from training from scratch (Theorem 3.1).

    Args:
      result: what ``sequential_training.measure`` returns, or its JSON file.
      axes: the axes.
    """
    _draw(result, axes, "gap_of_change", "s", "relative to what\nx′ changed")
    _draw(result, axes, "gap", "o", "relative to what\ntraining changed")
    infinite = [row["gap"] for row in result["rows"] if row["width"] is None]
    if infinite:
        axes.text(
            0.03,
            0.04,
            f"infinite width: {_power(max(infinite))} at most",
            transform=axes.transAxes,
            color="0.2",
            fontsize="small",
        )
    axes.set_ylabel("‖sequential − from scratch‖, relative")


def draw_linearization(result: dict[str, Any], axes: Any) -> None:
    """Draws how far trained networks are from their linearization (Eq. 9).

    Args:
      result: what ``linearization.measure`` returns, or its JSON file.
      axes: the axes.
    """
    activation = result["definition"]["activation"]
    _draw(result, axes, "rms_difference", "o", f"activation {_NAMES.get(activation, activation)}")
    axes.set_ylabel("root mean square of f − f$_{\\mathrm{lin}}$ at test points")


def rows(result: dict[str, Any], quantity: str | None = None) -> list[dict[str, Any]]:
    """Returns what the figures show as rows for a CSV file.

    Args:
      result: the result of a study.
      quantity: what to average over seeds; the main quantity of the study by default.

    Returns:
      For each finite width, ``width``, the geometric ``mean`` over seeds, ``low`` and ``high``, the
      ends of its 95 % interval, and ``n``, the number of seeds.
    """
    return scaling.by_width(result["rows"], quantity or next(iter(result["slopes"])))


def _draw(result: dict[str, Any], axes: Any, quantity: str, marker: str, label: str) -> None:
    """Draws one quantity: seeds, means with intervals, the guide, and their labels."""
    means = rows(result, quantity)
    finite = [row for row in result["rows"] if row["width"] is not None]
    axes.plot(
        [_POINT_SHIFT * row["width"] for row in finite],
        [row[quantity] for row in finite],
        linestyle="none",
        marker=marker,
        markersize=3,
        markerfacecolor="none",
        markeredgecolor="0.65",
        zorder=1,
    )
    widths = [row["width"] for row in means]
    middle = [row["mean"] for row in means]
    if all(row["low"] is not None for row in means):
        below = [row["mean"] - row["low"] for row in means]
        above = [row["high"] - row["mean"] for row in means]
        axes.errorbar(widths, middle, [below, above], fmt="none", ecolor="0", capsize=2.5)
    axes.plot(widths, middle, color="0", marker=marker, markersize=4.5, zorder=3)
    guide = [middle[0] * (width / widths[0]) ** THEORY for width in widths]
    axes.plot(widths, guide, color="0.5", linestyle="--", linewidth=1, zorder=2)
    axes.set(xscale="log", yscale="log", xlabel="width")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(y=0.09)
    axes.set_xlim(widths[0] / 1.4, widths[-1] * 4.2)  # room for the labels at the ends
    top = max(row[quantity] for row in finite if row["width"] == widths[0])
    _label(axes, widths[0], max(top, means[0]["high"] or 0), label, (4, 5))
    _label(axes, widths[-1], guide[-1], "bound: slope −1/2", (8, 0), color="0.45", va="center")
    slope = result["slopes"][quantity]
    if slope is not None:
        _label(axes, widths[-1], middle[-1], f"slope {_interval(slope)}", (8, -4), va="center")


def _label(
    axes: Any, x: float, y: float, text: str, offset: tuple[float, float], **options: Any
) -> None:
    axes.annotate(
        text, (x, y), offset, textcoords="offset points", fontsize="small", zorder=4, **options
    )


def _power(value: float) -> str:
    """Formats a small number with one digit, as a power of ten."""
    digit, exponent = f"{value:.0e}".split("e")
    return f"${digit} \\cdot 10^{{{int(exponent)}}}$"


def _interval(slope: dict[str, Any]) -> str:
    """Formats a slope, with its interval on a second line."""
    text = f"{slope['mean']:.2f}"
    if slope["low"] is not None:
        text += f"\n[{slope['low']:.2f}, {slope['high']:.2f}]"
    return text.replace("-", "−")
