"""Results as a table to read and as a JSON file to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Prints rows under their columns; a value that is missing or ``None`` is a dash."""
    cells = [list(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def write_json(path: str, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """Writes the rows of the table, and the facts that all of them share under ``"machine"``."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": facts, "rows": rows}, file, indent=1)
        file.write("\n")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
