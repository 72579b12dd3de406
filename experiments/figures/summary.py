"""A table of all methods of a sweep: accuracy, area and labels saved, against random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..statistics import Curves, area_under_curve, labels_saved, mean_interval, table
from . import collected, comparison, pages
from .collected import Finished
from .drawn import Drawn, Rows

LEAST_SEEDS = 8
"""Of fewer seeds, the bootstrap gives intervals that are far too narrow."""

_COLUMNS = (
    "method",
    "last accuracy [%]",
    "area [%]",
    "minus random [points]",
    "p (t)",
    "Holm",
    "above at",
    "labels saved",
)


def draw(runs: Sequence[Finished], title: str) -> Drawn:
    """Draws the table, with the largest areas first.

    Args:
      runs: the runs of sweeps on one problem, with random among the methods.
      title: the title of the figure.

    Raises:
      ValueError: if there is more than one problem, no method is random, or fewer than two seeds
        are finished.
    """
    methods = collected.methods(runs)
    problems = collected.curves(methods)
    if len(problems) != 1:
        raise ValueError(f"a summary is of one problem with finished seeds, found {len(problems)}")
    ((name, curves),) = problems.items()
    if comparison.BASELINE not in curves.strategies:
        raise ValueError(f"{comparison.BASELINE} is not among the methods of {name}")
    rows = _rows(curves)
    cells = [_cells(row, len(curves.num_labeled)) for row in rows]
    figure = pages.draw_table(_COLUMNS, cells)
    notes = [
        f"{name}, {len(curves.seeds)} paired seeds, {curves.num_labeled[0]} to "
        f"{curves.num_labeled[-1]} labels; 95 % intervals. Area: mean accuracy over the budget. p "
        "values are two-sided, of areas paired by seed; Holm corrects for all rows. Above at: the "
        "numbers of labels at which the mean is above random, of those after the first. Labels "
        f"saved: how many fewer than {curves.num_labeled[-1]} reach what random reaches with all "
        f"of them, with a bootstrap interval if there are {LEAST_SEEDS} seeds or more.",
        *comparison.about(runs, problems, methods),
        *collected.failures(runs),
    ]
    pages.finish(figure, title, notes)
    return Drawn(figure, rows, notes)


def _rows(curves: Curves) -> Rows:
    baseline = comparison.BASELINE
    areas = {m: area_under_curve(curves.num_labeled, curves.of(m)) for m in curves.strategies}
    tests = {row.b: row for row in table(curves, against=baseline).rows}
    rows: Rows = []
    for method in sorted(areas, key=lambda m: -areas[m].mean()):
        last = mean_interval(100 * curves.of(method)[:, -1])
        row = {
            "method": method,
            "accuracy": round(float(last.mean), 3),
            "accuracy_low": round(float(last.low), 3),
            "accuracy_high": round(float(last.high), 3),
            "area": round(100 * float(areas[method].mean()), 3),
            "seeds": len(curves.seeds),
        }
        if method != baseline:
            test = tests[method]
            more = labels_saved(curves, baseline, method)  # than random has, for its accuracy
            above = np.round(curves.of(method).mean(0) - curves.of(baseline).mean(0), 12) > 0
            row |= {
                "difference": round(-100 * test.difference, 3),
                "difference_low": round(-100 * test.high, 3),
                "difference_high": round(-100 * test.low, 3),
                "p": float(f"{test.p:.3g}"),
                "p_holm": float(f"{test.p_holm:.3g}"),
                "cycles_above": int(above[1:].sum()),
            }
            if not more.at_least[-1]:  # the method reaches what random reaches at the end
                row["labels_saved"] = round(0 - float(more.saved[-1]), 1)
            if "labels_saved" in row and len(curves.seeds) >= LEAST_SEEDS:
                row |= {
                    "labels_saved_low": round(0 - float(more.high[-1]), 1),
                    "labels_saved_high": round(0 - float(more.low[-1]), 1),
                }
        rows.append(row)
    return rows


def _cells(row: dict[str, Any], num_cycles: int) -> list[str]:
    half = (row["accuracy_high"] - row["accuracy_low"]) / 2
    cells = [row["method"], f"{row['accuracy']:.1f} ± {half:.1f}", f"{row['area']:.2f}"]
    if "difference" not in row:
        return [*cells, *["–"] * 5]
    saved = "none"
    if "labels_saved" in row:
        saved = str(round(row["labels_saved"]))
    if "labels_saved_low" in row:
        ends = [row[f"labels_saved_{end}"] for end in ("low", "high")]
        low, high = ("?" if np.isinf(end) else str(round(end)) for end in ends)
        saved += f" ({low} to {high})"
    return [
        *cells,
        f"{row['difference']:+.2f} ({row['difference_low']:+.2f} to {row['difference_high']:+.2f})",
        *(f"{row[name]:.2g}" if row[name] >= 1e-4 else "<0.0001" for name in ("p", "p_holm")),
        f"{row['cycles_above']} of {num_cycles - 1}",
        saved,
    ]
