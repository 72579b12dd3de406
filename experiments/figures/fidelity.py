"""Fidelity: how well each approximation ranks candidates, beside retraining to convergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..statistics import mean_interval
from . import pages, style
from .drawn import Drawn, Rows


def draw(benchmark: Mapping[str, Any], title: str) -> Drawn:
    """Draws the rank correlations that ``benchmarks.approximations`` measured.

    Args:
      benchmark: its results.
      title: the title of the figure.

    Raises:
      ValueError: if these are other results.
    """
    import matplotlib.pyplot as plt

    measured = benchmark["rows"]
    if not all({"model", "method", "of seeds"} <= set(row) for row in measured):
        raise ValueError("these are not results of benchmarks.approximations")
    models = list(dict.fromkeys(row["model"] for row in measured))
    figure, panels = plt.subplots(
        1, len(models), figsize=(5.0 * len(models), 4.2), sharex=True, sharey=True, squeeze=False
    )
    rows: Rows = []
    for axes, model in zip(panels[0], models, strict=True):
        own = [row for row in measured if row["model"] == model]
        names = [row["method"] for row in own]
        for position, row in enumerate(own):
            values = np.array(row["of seeds"])
            found = mean_interval(values)
            color = style.of(row["method"].split(",")[0]).color
            axes.plot(values, np.full(len(values), position), ".", color=color, alpha=0.45, ms=5)
            axes.plot([found.low, found.high], [position] * 2, color=color, lw=1.4)
            axes.plot(found.mean, position, "D", color=color, ms=5)
            rows.append(
                {
                    "problem": model,
                    "method": row["method"],
                    "quantity": "Spearman correlation with retraining",
                    "mean": round(float(found.mean), 4),
                    "low": round(float(found.low), 4),
                    "high": round(float(found.high), 4),
                    "seeds": len(values),
                }
            )
        axes.set_yticks(range(len(names)), names)
        axes.axvline(0, color=style.GRAY, lw=0.8)
        axes.set_xlim(-0.6, 1.02)
        axes.set_title(model, fontsize=10, loc="right")
        axes.set_xlabel("Spearman correlation with retraining")
        axes.grid(alpha=0.25, lw=0.6, axis="x")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].invert_yaxis()  # all share it
    machine = benchmark["machine"]
    notes = [
        f"Digits, {machine['num_labeled']} labels, {machine['num_pool']} candidates, width "
        f"{machine['width']}. Dots are seeds, diamonds means, bars 95 % intervals."
    ]
    pages.finish(figure, title, notes)
    return Drawn(figure, rows, notes)
