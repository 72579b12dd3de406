"""Figure 1a: the time of a query and the accuracy it buys, for retraining and for the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import collected, comparison, pages, panels, style
from .collected import Finished
from .drawn import Drawn, Rows

METHODS = {
    "naive retraining": ("naive", "naive"),
    "dense solves": ("mlmoc", "NTK without the block update"),
    "look-ahead": ("mlmoc", "NTK with the block update"),
}
"""The rows of ``benchmarks.look_ahead`` that are drawn: for each, a strategy and a label."""


def draw(runs: Sequence[Finished], benchmark: Mapping[str, Any], title: str) -> Drawn:
    """Draws the seconds of a query beside the accuracies of a sweep.

    Args:
      runs: the runs of a sweep with the strategies naive and mlmoc. Of others, only those of random
        queries are drawn, so that the sweep of Figure 1b serves as well.
      benchmark: the results of ``benchmarks.look_ahead``.
      title: the title of the figure.

    Raises:
      ValueError: if the benchmark has other rows, or no seed is complete for all methods.
    """
    import matplotlib.pyplot as plt

    seconds = {row["method"]: row["seconds"] for row in benchmark["rows"]}
    missing = [name for name in METHODS if name not in seconds]
    if missing:
        raise ValueError(f"these are not results of benchmarks.look_ahead: no row {missing[0]!r}")
    drawn = {comparison.BASELINE, *(strategy for strategy, _ in METHODS.values())}
    runs = [run for run in runs if not run.records or run.strategy in drawn]
    methods = collected.methods(runs)
    problems = collected.curves(methods)
    if len(problems) != 1:
        raise ValueError(f"Figure 1a takes one problem with finished seeds, found {len(problems)}")
    ((name, curves),) = problems.items()
    styles = panels.styles({method.label: method.strategy for method in methods})
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.2, 3.9), gridspec_kw={"wspace": 0.45})
    rows: Rows = []
    for position, (row, (strategy, label)) in enumerate(METHODS.items()):
        left.barh(
            position,
            seconds[row],
            color=style.of(strategy).color,
            height=0.55,
            alpha=0.6 if row == "dense solves" else 1.0,
        )
        ratio = seconds[row] / seconds["look-ahead"]
        left.annotate(
            f" {seconds[row]:,.1f} s" + (f" ({ratio:,.3g}×)" if row != "look-ahead" else ""),
            (seconds[row], position),
            va="center",
            fontsize=8,
        )
        rows.append({"method": label, "quantity": "seconds of a query", "mean": seconds[row]})
    left.set_yticks(range(len(METHODS)), [label for _, label in METHODS.values()])
    left.set_xscale("log")
    left.set_xlim(1, 30 * max(seconds.values()))
    left.set_xlabel("seconds of a query (log scale)")
    left.spines[["top", "right"]].set_visible(False)
    rows += panels.draw_accuracy(right, name, curves, styles)
    right.set_title(name, fontsize=10, loc="right")
    problem = benchmark["machine"].get("problem", "")
    notes = [
        f"Times: {problem}, {benchmark['machine'].get('cpu', 'another device')}; retraining and "
        "dense solves are timed on a sample of the candidates and scaled up.",
        *collected.failures(runs),
    ]
    about = comparison.about(runs, problems, methods)
    pages.finish(figure, title, [panels.caption(problems), *about, *notes])
    return Drawn(figure, rows, [*about, *notes])
