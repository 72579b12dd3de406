"""What a figure is made of, and how it is saved: PNG, SVG, and its numbers as CSV."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from ntk_al._utils import files

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure and the numbers in it.

    Attributes:
      figure: the matplotlib figure.
      rows: its numbers, one dict for each point; rows may differ in their fields.
      notes: what a reader must know, such as runs that failed.
    """

    figure: Any
    rows: Rows
    notes: Sequence[str] = ()


def save(drawn: Drawn, folder: str, name: str) -> list[str]:
    """Writes ``NAME.png``, ``NAME.svg`` and ``NAME.csv``; each replaces an older one as a whole.

    Args:
      drawn: the figure; it is closed.
      folder: the folder, which is made if need be.
      name: the name of the files.

    Returns:
      The paths.

    Raises:
      OSError: if a file cannot be written.
    """
    import matplotlib
    import matplotlib.pyplot as plt

    fields = list(dict.fromkeys(field for row in drawn.rows for field in row))
    os.makedirs(folder, exist_ok=True)

    def write_csv(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(drawn.rows)

    def write_picture(format: str, **options: Any) -> Callable[[str], None]:
        def write(path: str) -> None:
            with matplotlib.rc_context({"svg.hashsalt": name}):  # names in an SVG are not random
                drawn.figure.savefig(path, format=format, bbox_inches="tight", **options)

        return write

    writers = {
        "png": write_picture("png", dpi=160),
        "svg": write_picture("svg", metadata={"Date": None}),  # the same picture, the same file
        "csv": write_csv,
    }
    paths = []
    try:
        for end, write in writers.items():
            path = os.path.join(folder, f"{name}.{end}")
            with files.replacing(path) as part:
                write(part)
            paths.append(path)
    finally:
        plt.close(drawn.figure)
    return paths
