"""Table 1: do strategies differ (Friedman), and from which does one differ (post-hoc tests)?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..statistics import Curves, Table, detectable_difference, table
from . import collected, comparison, pages
from .collected import Finished
from .drawn import Drawn, Rows

_COLUMNS = (
    "against",
    "difference [points]",
    "95 % interval",
    "detectable",
    "p (t)",
    "Holm",
    "p (Wilcoxon)",
    "Holm",
)


def draw(runs: Sequence[Finished], title: str, *, against: str, unit: str) -> Drawn:
    """Draws the table of one method against each other, over all problems of some sweeps.

    Args:
      runs: the runs.
      title: the title of the figure.
      against: the label of the method that is compared with the others.
      unit: what is paired, a key of ``statistics.UNITS``.

    Raises:
      ValueError: if the method is unknown, or fewer than two seeds are finished.
    """
    methods = collected.methods(runs)
    problems = _of_shared_methods(collected.curves(methods))
    result = table(problems, against, unit)
    rows, cells = _rows(result, problems, against)
    figure = pages.draw_table(_COLUMNS, cells)
    notes = [
        _friedman(result),
        _what(result, problems, against),
        *comparison.about(runs, problems, methods),
        *collected.failures(runs),
    ]
    pages.finish(figure, title, notes)
    return Drawn(figure, rows, notes)


def _of_shared_methods(problems: dict[str, Curves]) -> dict[str, Curves]:
    """Keeps the methods that every problem has.

    Raises:
      ValueError: if there are fewer than two.
    """
    lists = [curves.strategies for curves in problems.values()]
    shared = [label for label in lists[0] if all(label in own for own in lists)] if lists else []
    if len(shared) < 2:
        found = "; ".join(f"{name}: {', '.join(c.strategies)}" for name, c in problems.items())
        raise ValueError(
            "a table needs two methods with the same settings and finished seeds on every problem; "
            f"found {found or 'none'}"
        )
    return {name: curves.select(shared) for name, curves in problems.items()}


def _rows(result: Table, problems: dict[str, Curves], against: str) -> tuple[Rows, list[list[str]]]:
    from ..statistics.blocks import blocks

    values = blocks(problems, result.unit)
    rows: Rows = []
    cells = []
    for row in result.rows:
        least = detectable_difference(values[row.a] - values[row.b], row.n)
        found = {**dataclasses.asdict(row), "detectable": float(least), "unit": result.unit}
        for name in ("difference", "low", "high", "detectable"):
            found[name] = round(100 * found[name], 6)  # points, as in all other files
        rows.append(found)
        p = (row.p, row.p_holm, row.p_wilcoxon, row.p_wilcoxon_holm)
        cells.append(
            [
                row.b,
                f"{100 * row.difference:+.2f}",
                f"{100 * row.low:+.2f} to {100 * row.high:+.2f}",
                f"{100 * least:.2f}",
                *(f"{one:.2g}" if one >= 1e-4 else "<0.0001" for one in p),
            ]
        )
    return rows, cells


def _friedman(result: Table) -> str:
    if result.friedman is None:
        return f"No Friedman test: {result.without_friedman}."
    found = result.friedman
    ranks = ", ".join(f"{n} {r:.1f}" for n, r in sorted(found.mean_ranks.items(), key=_second))
    return f"Friedman χ² = {found.statistic:.2f}, p = {found.p:.2g}; mean ranks: {ranks}."


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _what(result: Table, problems: dict[str, Curves], against: str) -> str:
    seeds = {name: len(curves.seeds) for name, curves in problems.items()}
    numbers = ", ".join(f"{name} ({number} seeds)" for name, number in seeds.items())
    paired = {
        "area": "areas under the curves, one a seed",
        "cycle": "accuracies after each query, one a seed and cycle, which are not independent",
    }[result.unit]
    return (
        f"{numbers}. Differences: {against} minus the other. Paired: {paired}. p values are "
        "two-sided. Detectable: the true difference that the t test would find in 80 % of such "
        "experiments."
    )
