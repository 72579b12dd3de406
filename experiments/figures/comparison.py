"""Strategies compared on one or several problems: accuracies, and differences from random."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..statistics import Curves
from . import collected, pages, panels
from .collected import Finished, Method
from .drawn import Drawn, Rows

BASELINE = "random"

_READABLE = 5
"""As many bands as a panel can show."""

_WIDTH, _GAP, _LETTER = 3.2, 0.9, 0.065  # of a panel, between panels, and of a letter, in inches
_SHARE_OF_PANELS = 0.775  # of the width of a figure, with the margins of matplotlib


@dataclasses.dataclass(frozen=True)
class _Panel:
    """A panel: the methods on one problem, and the baseline of each if differences are drawn."""

    problem: str
    curves: Curves
    baselines: Mapping[str, str]


def draw(runs: Sequence[Finished], title: str, *, differences_only: bool = False) -> Drawn:
    """Draws every method of some sweeps.

    A few methods on one problem take two panels, with accuracies on the left and differences from
    random on the right. More methods, and more problems, take panels of differences.

    Args:
      runs: the runs.
      title: the title of the figure.
      differences_only: whether to leave out the panel of accuracies, as Figure 2 of the paper does.

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
    layout = _layout(problems, strategies, differences_only)
    columns = min(len(layout), 3)
    rows_of_panels = -(-len(layout) // columns)
    # Names stand to the right of each panel, before the label of the next axis.
    longest = max(len(label) for panel in layout for label in panel.curves.strategies)
    gap = _GAP + _LETTER * longest
    figure, grid = plt.subplots(
        rows_of_panels,
        columns,
        figsize=(
            (_WIDTH * columns + gap * (columns - 1)) / _SHARE_OF_PANELS,
            3.9 * rows_of_panels,
        ),
        squeeze=False,
        gridspec_kw={"wspace": gap / _WIDTH, "hspace": 0.42},
    )
    limits = panels.limits([(panel.curves, panel.baselines) for panel in layout])
    rows: Rows = []
    for axes, panel in zip(grid.flat, layout, strict=False):
        if panel.baselines:
            rows += panels.draw_difference(
                axes, panel.problem, panel.curves, styles, panel.baselines, limits
            )
        else:
            rows += panels.draw_accuracy(axes, panel.problem, panel.curves, styles)
        axes.set_title(panel.problem, fontsize=10, loc="right")
    for axes in list(grid.flat)[len(layout) :]:
        axes.set_visible(False)
    notes = [*about(runs, problems, methods), *collected.failures(runs)]
    pages.finish(figure, title, [panels.caption(problems), *notes])
    return Drawn(figure, rows, notes)


def _layout(
    problems: Mapping[str, Curves], strategies: Mapping[str, str], differences_only: bool
) -> list[_Panel]:
    """Shares the methods out among panels that can be read."""
    found = []
    for name, curves in problems.items():
        baselines = _baselines(curves, strategies)
        few = len(curves.strategies) <= _READABLE + 1
        if not baselines or (len(problems) == 1 and few and not differences_only):
            found.append(_Panel(name, curves, {}))
        for labels in _groups(list(baselines), strategies):
            found.append(_Panel(name, curves, {label: baselines[label] for label in labels}))
    return found


def _groups(labels: Sequence[str], strategies: Mapping[str, str]) -> list[list[str]]:
    """Splits methods into groups of a readable size, with the variants of one strategy together."""
    if len(labels) <= _READABLE:
        return [list(labels)] if labels else []
    kinds: dict[str, list[str]] = {}
    for label in labels:
        kinds.setdefault(strategies[label], []).append(label)
    groups: list[list[str]] = []
    for own in sorted(kinds.values(), key=len, reverse=True):
        fitting = [group for group in groups if len(group) + len(own) <= _READABLE]
        if fitting:
            fitting[0] += own
        else:
            groups.append(list(own))
    return groups


def _baselines(curves: Curves, strategies: Mapping[str, str]) -> dict[str, str]:
    """Finds the baseline of each other method: random queries with the default settings."""
    found = [label for label in curves.strategies if strategies[label] == BASELINE]
    if not found:
        return {}
    baseline = BASELINE if BASELINE in found else found[0]
    return {label: baseline for label in curves.strategies if label != baseline}


def about(
    runs: Sequence[Finished], problems: Mapping[str, Curves], methods: Sequence[Method]
) -> list[str]:
    """Says how runs were set up, and what is missing from a figure of them.

    Args:
      runs: the runs.
      problems: what is drawn.
      methods: all methods of the runs.
    """
    unfinished = sum(not run.is_complete and run.failure is None for run in runs)
    of_all = len(runs)
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
    if unfinished:
        notes.append(f"{unfinished} of {of_all} runs are not finished.")
    drawn = {(name, label) for name, curves in problems.items() for label in curves.strategies}
    missing = [f"{m.label} on {m.problem}" for m in methods if (m.problem, m.label) not in drawn]
    if missing:
        notes.append(f"Not drawn, because too few runs are finished: {', '.join(missing)}.")
    return notes


def _nothing(methods: Sequence[Method]) -> str:
    lines = [
        f"{method.label} on {method.problem}: seeds "
        f"{sorted(seed for seed, run in method.runs.items() if run.is_complete)} are finished"
        for method in methods
    ]
    return "there is no seed that all methods have finished: " + "; ".join(lines)
