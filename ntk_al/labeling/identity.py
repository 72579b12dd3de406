"""Ids of examples, which users choose, and the rows of the pool that they stand for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ntk_al._utils import files
from ntk_al.labeling.events import Id

FILE = "ids.json"


class Ids:
    """The ids of the examples of a pool, in the order of its rows.

    Args:
      num_examples: N.
      ids: their ids, strings or integers, all different; ``None`` numbers them from 0.

    Raises:
      TypeError: if an id is neither a string nor an integer.
      ValueError: if there are not N ids, or one occurs twice.
    """

    def __init__(self, num_examples: int, ids: Iterable[Any] | None = None) -> None:
        self._num = num_examples
        self._ids = None if ids is None else [as_id(i) for i in ids]
        self._rows: dict[Id, int] | None = None
        if self._ids is None:
            return
        if len(self._ids) != num_examples:
            raise ValueError(f"there are {len(self._ids)} ids for {num_examples} examples")
        self._rows = {i: row for row, i in enumerate(self._ids)}
        if len(self._rows) != num_examples:
            twice = next(i for row, i in enumerate(self._ids) if self._rows[i] != row)
            raise ValueError(f"the ids of examples must be different, but {twice!r} occurs twice")

    @property
    def own(self) -> list[Id] | None:
        """The ids that the user chose, or ``None`` if they are the numbers of rows."""
        return self._ids

    def of(self, rows: Iterable[int] | np.ndarray) -> list[Id]:
        """Returns the ids of rows."""
        if self._ids is None:
            return [int(row) for row in rows]
        return [self._ids[row] for row in rows]

    def row(self, i: Id) -> int:
        """Returns the row of an id, which must be known."""
        return int(i) if self._rows is None else self._rows[i]

    def rows(self, ids: Iterable[Id]) -> np.ndarray:
        """Returns the rows of ids, which must be known."""
        return np.array([self.row(i) for i in ids], np.int64)

    def check(self, ids: Sequence[Id]) -> None:
        """Raises ValueError unless all ids are known and different."""
        unknown = [i for i in ids if not self.knows(i)]
        if unknown:
            shown = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
            known = self.of(range(min(2, self._num)))
            raise ValueError(
                f"{len(unknown)} of {len(ids)} ids are not in the pool: {shown}. Ids of the pool "
                f"are like {', '.join(map(repr, known))}"
            )
        if len(set(ids)) != len(ids):
            twice = next(i for position, i in enumerate(ids) if i in ids[:position])
            raise ValueError(f"the id {twice!r} was given twice")

    def of_text(self, text: str) -> Id:
        """Returns the id that a text stands for: itself, or the integer that it spells.

        Raises:
          ValueError: if it is that of no example, or of two.
        """
        found: list[Id] = [text] if self.knows(text) else []
        if text.lstrip("-").isdecimal() and str(int(text)) == text and self.knows(int(text)):
            found.append(int(text))
        if len(found) > 1:
            raise ValueError(f"both {text!r} and {text} are ids, and a text cannot tell them apart")
        if not found:
            self.check([text])
        return found[0]

    def knows(self, i: Id) -> bool:
        """Returns whether there is an example with an id."""
        if self._rows is None:
            return isinstance(i, int) and 0 <= i < self._num
        return i in self._rows

    def write(self, folder: str) -> None:
        """Writes the ids into the folder of a campaign.

        Raises:
          OSError: if they cannot be written.
        """
        files.write(os.path.join(folder, FILE), json.dumps(self._ids) + "\n")

    @classmethod
    def read(cls, folder: str, num_examples: int) -> Ids:
        """Reads the ids from the folder of a campaign.

        Raises:
          FileNotFoundError: if the file is gone.
          ValueError: if it is damaged.
        """
        path = os.path.join(folder, FILE)
        try:
            with open(path, encoding="utf-8") as file:
                return cls(num_examples, json.load(file))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is gone; it belongs to the campaign") from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def as_ids(ids: Any) -> list[Id]:
    """Returns one id, or several, as a list.

    Raises:
      TypeError: if an id is neither a string nor an integer.
    """
    if isinstance(ids, str | int | np.integer) or np.ndim(ids) == 0:
        return [as_id(ids)]
    return [as_id(i) for i in ids]


def as_id(i: Any) -> Id:
    """Returns an id as a string or an integer of Python."""
    if isinstance(i, np.ndarray) and i.ndim == 0:
        i = i.item()
    if isinstance(i, str):
        return str(i)
    if isinstance(i, int | np.integer) and not isinstance(i, bool):
        return int(i)
    raise TypeError(f"ids must be strings or integers, got {i!r}")
