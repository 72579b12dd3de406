"""Writes results as a table on the screen and as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Prints rows as a table; a value that is missing or ``None`` becomes a dash."""
    cells = [list(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def write_json(path: str, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """Writes the rows of the table and, under ``"machine"``, the facts that all rows share."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": facts, "rows": rows}, file, indent=1)
        file.write("\n")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
