"""Names at the ends of lines, in place of a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_LEADER = {"lw": 0.6, "shrinkA": 1, "shrinkB": 2}


def spread(positions: Sequence[float], distance: float) -> np.ndarray:
    """Moves positions apart until neighbors have a distance, each as little as it can.

    Args:
      positions: where labels would be, ``[N]``.
      distance: the least distance between two labels.

    Returns:
      Where they are, in the order in which they came, ``[N]``: the closest positions, by the sum of
      squares, that keep the distance (isotonic regression by pooling adjacent violators).
    """
    wanted = np.array(positions, float)
    order = np.argsort(wanted, kind="stable")
    steps = distance * np.arange(len(wanted))
    blocks: list[list[float]] = []  # the mean and the size of each group that moves as one
    for value in wanted[order] - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (first, n), (second, m) = blocks[-2:]
            blocks[-2:] = [[(n * first + m * second) / (n + m), n + m]]
    found = np.empty(len(wanted))
    found[order] = np.repeat([mean for mean, _ in blocks], [int(n) for _, n in blocks]) + steps
    return found


def at_ends(axes: Any, ends: Mapping[str, tuple[float, float, str]], size: float = 8) -> None:
    """Writes names to the right of the axes, each beside the end of its line.

    Args:
      axes: matplotlib axes, whose limits do not change afterwards.
      ends: for each name, x and y of the end of its line, and its color.
      size: the size of the letters in points.
    """
    if not ends:
        return
    axes.figure.draw_without_rendering()  # sizes are known only after the layout
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    low, high = axes.get_ylim()
    distance = 1.25 * size / height * (high - low)
    places = spread([y for _, y, _ in ends.values()], distance)
    right = axes.get_xlim()[1]
    span = right - axes.get_xlim()[0]
    for (name, (x, y, color)), place in zip(ends.items(), places, strict=True):
        axes.annotate(
            name,
            xy=(x, y),
            xytext=(right + 0.03 * span, place),
            va="center",
            fontsize=size,
            color=color,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "relpos": (0, 0.5), **_LEADER},
        )
