"""What all figures share: a title at the top left, notes below, and tables as pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any


def finish(figure: Any, title: str, notes: Sequence[str]) -> None:
    """Writes the title above a figure, and what a reader must know below it."""
    letters = int(15 * figure.get_size_inches()[0])
    lines = [line for note in notes for line in textwrap.wrap(note, letters)]
    left = min(axes.get_position().x0 for axes in figure.axes)
    top = max(axes.get_position().y1 for axes in figure.axes)
    bottom = min(axes.get_position().y0 for axes in figure.axes)
    inch = 1 / figure.get_size_inches()[1]
    figure.text(left - 0.03, top + 0.38 * inch, title, fontsize=12, va="bottom", ha="left")
    figure.text(
        left - 0.03,
        bottom - 0.62 * inch,
        "\n".join(lines),
        fontsize=8,
        va="top",
        ha="left",
        color="#444444",
    )


def draw_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> Any:
    """Draws a table, and returns the figure."""
    import matplotlib.pyplot as plt
    from matplotlib.transforms import Bbox

    widths = [max(map(len, column)) + 3 for column in zip(columns, *cells, strict=True)]
    figure = plt.figure(figsize=(0.083 * sum(widths), 0.27 * (1 + len(cells))))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    drawn = axes.table(
        cells,
        colLabels=columns,
        colWidths=[width / sum(widths) for width in widths],
        cellLoc="right",
        edges="B",
        bbox=Bbox.unit(),
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    for cell in drawn.get_celld().values():
        cell.set_linewidth(0.4)
    return figure
