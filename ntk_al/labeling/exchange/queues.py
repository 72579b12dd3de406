"""CSV files for a spreadsheet: what to label, in order of priority, and the labels that come back.

The columns are ``id``, ``path`` (of images), ``predicted`` (if a network proposed the example) and
``label``, which is empty until somebody fills it in. An empty label is no answer, and the word
``skip`` skips the example, unless a class has that name.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import NamedTuple

from ntk_al._utils import files
from ntk_al.labeling.campaign import Campaign
from ntk_al.labeling.events import Id, Label

SKIP = "skip"
"""The word in the column of labels that skips an example."""


class Imported(NamedTuple):
    """What was read from a file.

    Attributes:
      labeled: how many labels it holds.
      new: how many of them are of examples without a label.
      replaced: how many of them differ from the label that the example had.
      skipped: how many skips.
      unanswered: how many rows have no label.
    """

    labeled: int
    new: int
    replaced: int
    skipped: int
    unanswered: int


def write_queue(campaign: Campaign, ids: Iterable[Id], path: str | os.PathLike[str]) -> None:
    """Writes examples into a CSV file that people fill in.

    Args:
      campaign: the campaign.
      ids: the examples, in the order of the rows: ``campaign.next(...)``.
      path: the file.

    Raises:
      FileExistsError: if there is a file: somebody may have filled it in.
      OSError: if it cannot be written.
      ValueError: if an id is unknown.
    """
    path = os.fspath(path)
    if os.path.lexists(path):
        raise FileExistsError(
            f"{path} is there already, and somebody may have filled it in. Nothing was changed: "
            "import its labels, and choose another name"
        )
    rows = []
    for i in ids:
        row = {"id": i, "path": campaign.path(i), "predicted": campaign.prediction(i), "label": ""}
        rows.append(row)
    columns = [
        name
        for name in ("id", "path", "predicted", "label")
        if name in ("id", "label") or any(row[name] is not None for row in rows)
    ]
    with files.replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_answers(
    campaign: Campaign, path: str | os.PathLike[str], *, by: str | None = None
) -> Imported:
    """Records the labels and skips of a CSV file with the columns ``id`` and ``label``.

    All of the file is checked before any of it is recorded. A file can be read again: what is
    recorded already stays; another label replaces the one
    that an example has.

    Args:
      campaign: the campaign.
      path: the file; a semicolon or a tab may separate its columns, too.
      by: who labeled them, if the file has no column ``by``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it has no such columns, or a row an unknown id or class; the message names its
        line.
    """
    path = os.fspath(path)
    labels: list[tuple[Id, Label, str | None]] = []
    skips: list[tuple[Id, str | None]] = []
    unanswered = 0
    seen: dict[Id, int] = {}
    for line, row in _rows(path):
        answer = row["label"].strip()
        who = row.get("by", "").strip() or by
        try:
            i = campaign.id_of(row["id"].strip())
            if i in seen:
                raise ValueError(f"the id {i!r} is that of line {seen[i]}, too")
            seen[i] = line
            if not answer:
                unanswered += 1
            elif answer.lower() == SKIP and answer not in (campaign.class_names or ()):
                skips.append((i, who))
            else:
                labels.append((i, campaign.class_of(answer), who))
        except ValueError as error:
            raise ValueError(f"line {line} of {path}: {error}. Nothing was imported") from error
    known = campaign.labels
    for i, _ in skips:
        if i in known:
            raise ValueError(
                f"line {seen[i]} of {path}: {i!r} has a label, which a skip does not take back; "
                "untell it first. Nothing was imported"
            )
    for who in dict.fromkeys(who for _, _, who in labels):
        told = [(i, label) for i, label, w in labels if w == who]
        campaign.tell([i for i, _ in told], [label for _, label in told], by=who)
    for who in dict.fromkeys(who for _, who in skips):
        campaign.skip([i for i, w in skips if w == who], by=who)
    new = sum(i not in known for i, _, _ in labels)
    replaced = sum(i in known and known[i] != label for i, label, _ in labels)
    return Imported(len(labels), new, replaced, len(skips), unanswered)


def _rows(path: str) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of a CSV file with their lines."""
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a CSV file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such file: {os.path.abspath(path)}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets may add a BOM
            first = file.readline()
            separator = max(",;\t", key=first.count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=separator, restval="")
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if lacking := [name for name in ("id", "label") if name not in names]:
        raise ValueError(
            f"{path} has no column {' and no column '.join(lacking)}; it has "
            f"{', '.join(names) or 'none'}"
        )
    return rows
