"""The records of gathered runs, of which what repeats in a run stands in its first line alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_REPEATED = (
    "strategy", "scheme", "seed", "predictive", "git_revision",
    "ridge", "condition_number", "diagnostics",
)  # fmt: skip

Record = dict[str, Any]


def shortened(name: str, found: Iterable[Record]) -> Iterator[Record]:
    """Names the first record of a run, and leaves out of the others what is as in the first."""
    first: Record = {}
    for record in found:
        own = {
            key: value
            for key, value in record.items()
            if not (first and key in _REPEATED and first.get(key) == value)
        }
        yield own if first else {"run": name, **own}
        first = first or record


def restored(lines: Iterable[Record]) -> Iterator[Record]:
    """Writes what repeats into every record; records that were not gathered stay as they are."""
    first: Record = {}
    for line in lines:
        if "run" in line:
            first = {key: line[key] for key in _REPEATED if key in line}
        yield {**first, **line}
