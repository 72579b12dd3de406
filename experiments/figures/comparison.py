"""Strategies compared on one or several problems: accuracies, and differences from random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..statistics import Curves
from . import collected, panels
from .collected import Finished, Method
from .drawn import Drawn, Rows

BASELINE = "random"


def draw(runs: Sequence[Finished], title: str, *, differences_only: bool = False) -> Drawn:
    """Draws every method of some sweeps.

    One problem takes two panels, with accuracies on the left and differences from random on the
    right. Several problems take a panel of differences each.

    Args:
      runs: the runs.
      title: the title of the figure.
      differences_only: whether one problem has the panel of differences only, as in Figure 2 of the
        paper.

    Raises:
      ValueError: if no seed is complete for all methods of a problem.
    """
    import matplotlib.pyplot as plt

    methods = collected.methods(runs)
    problems = collected.curves(methods)
    if not problems:
        raise ValueError(_nothing(methods))
    strategies = {method.label: method.strategy for method in methods}
    styles = panels.styles(strategies)
    baselines = {name: _baselines(curves, strategies) for name, curves in problems.items()}
    with_accuracy = len(problems) == 1 and not (differences_only and any(baselines.values()))
    with_difference = any(baselines.values())
    count = len(problems) if len(problems) > 1 else with_accuracy + with_difference
    columns = min(count, 3)
    rows_of_panels = -(-count // columns)
    figure, grid = plt.subplots(
        rows_of_panels,
        columns,
        figsize=(5.6 * columns, 3.9 * rows_of_panels),
        squeeze=False,
        gridspec_kw={"wspace": 0.62, "hspace": 0.42},
    )
    free = list(grid.flat)
    rows: Rows = []
    for name, curves in problems.items():
        if with_accuracy or not baselines[name]:
            axes = free.pop(0)
            rows += panels.draw_accuracy(axes, name, curves, styles)
            axes.set_title(name, fontsize=10, loc="right")
        if baselines[name]:
            axes = free.pop(0)
            rows += panels.draw_difference(axes, name, curves, styles, baselines[name])
            axes.set_title(name, fontsize=10, loc="right")
    for axes in free:
        axes.set_visible(False)
    notes = [*about(runs, problems, methods), *collected.failures(runs)]
    figure.suptitle(title, fontsize=12, y=1.0, x=0.07, ha="left")
    write_notes(figure, [panels.caption(problems), *notes])
    return Drawn(figure, rows, notes)


def write_notes(figure: Any, notes: Sequence[str]) -> None:
    """Writes what a reader must know below a figure."""
    figure.text(0.07, -0.02, "\n".join(notes), fontsize=8, va="top", ha="left", color="#444444")


def _baselines(curves: Curves, strategies: Mapping[str, str]) -> dict[str, str]:
    """Finds the baseline of each other method: random queries in batches, on the same problem."""
    found = [label for label in curves.strategies if strategies[label] == BASELINE]
    if not found:
        return {}
    return {label: found[0] for label in curves.strategies if label not in found}


def about(
    runs: Sequence[Finished], problems: Mapping[str, Curves], methods: Sequence[Method]
) -> list[str]:
    """Says how runs were set up, and what is missing from a figure of them.

    Args:
      runs: the runs.
      problems: what is drawn.
      methods: all methods of the runs.
    """
    runs = [run for run in runs if run.records]
    settings = runs[0].settings
    network = settings["model"] + (f" of width {settings['width']}" if settings["width"] else "")
    same = {
        name: len({str(run.settings[name]) for run in runs}) == 1
        for name in ("model", "width", "init_size", "query_size", "subset_size")
    }
    parts = []
    if same["model"] and same["width"]:
        parts.append(network)
    if same["query_size"] and same["subset_size"]:
        parts.append(
            f"{settings['query_size']} labels a cycle from {settings['subset_size']} candidates"
        )
    notes = [", ".join(parts) + "."] if parts else []
    unfinished = sum(not run.is_complete and run.failure is None for run in runs)
    if unfinished:
        notes.append(f"{unfinished} runs are not finished.")
    drawn = {label for curves in problems.values() for label in curves.strategies}
    missing = [m.label for m in methods if m.label not in drawn]
    if missing:
        notes.append(f"Not drawn, because no run is finished: {', '.join(missing)}.")
    return notes


def _nothing(methods: Sequence[Method]) -> str:
    lines = [
        f"{method.label} on {method.problem}: seeds "
        f"{sorted(seed for seed, run in method.runs.items() if run.is_complete)} are finished"
        for method in methods
    ]
    return "there is no seed that all methods have finished: " + "; ".join(lines)
