"""Pools that are tables of numbers, in CSV or Parquet files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ntk_al._utils import checks, extras
from ntk_al.labeling.events import Id
from ntk_al.labeling.sources.source import digest_of


class Table:
    """The rows of a table of numbers, as examples ``[N, d]`` in float32.

    Args:
      path: a ``.csv`` file with a header, or a ``.parquet`` file.
      columns: the columns that are features, in order; ``None`` takes all but ``id_column``.
      id_column: the column of the ids; ``None`` numbers the rows from 0.

    Attributes:
      file: the path.
      columns: the columns that were asked for, or ``None``.
      id_column: the column of the ids, or ``None``.

    Raises:
      FileNotFoundError: if there is no such file.
      MissingExtraError: if pyarrow is not installed.
      TypeError: if a feature is not a number.
      ValueError: if the file is no such table, lacks a column, or a number is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Sequence[str] | None = None,
        id_column: str | None = None,
    ) -> None:
        path = os.fspath(path)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"no such file: {os.path.abspath(path)}")
        self.file = path
        self.columns = None if columns is None else tuple(columns)
        self.id_column = id_column
        table = _read(path)
        wanted = [c for c in columns or table.column_names if c != id_column or columns]
        needed = wanted if id_column is None else [*wanted, id_column]
        if missing := [name for name in needed if name not in table.column_names]:
            raise ValueError(
                f"{path} has no column {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, table.column_names))}"
            )
        if not wanted or not table.num_rows:
            raise ValueError(
                f"{path} holds no examples: {table.num_rows} rows, {len(wanted)} columns of numbers"
            )
        features = [_numbers(path, name, table.column(name)) for name in wanted]
        self._x = np.stack(features, axis=1)
        checks.finite(f"the numbers of {path}", self._x)
        self._ids = None if id_column is None else table.column(id_column).to_pylist()

    @property
    def ids(self) -> Sequence[Id] | None:
        """The entries of ``id_column``, in order."""
        return self._ids

    def __len__(self) -> int:
        return len(self._x)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See ``Source``; ``[n, d]``."""
        return self._x[rows]

    def digest(self) -> str:
        """See ``Source``."""
        return digest_of(self)


def _read(path: str) -> Any:
    with extras.needed("tables need", "pyarrow", extra="labeling"):
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    try:
        if path.endswith(".parquet"):
            return pyarrow.parquet.read_table(path)
        # By default, a missing number in a table of one column would be dropped with its row.
        whole = pyarrow.csv.ParseOptions(ignore_empty_lines=False)
        return pyarrow.csv.read_csv(path, parse_options=whole)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from error


def _numbers(path: str, name: str, column: Any) -> np.ndarray:
    if column.null_count:
        raise ValueError(f"the column {name!r} of {path} lacks {column.null_count} numbers")
    values = column.to_numpy()
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"the column {name!r} of {path} does not hold numbers; name the columns that do with "
            "columns=, and the ids with id_column="
        )
    return values.astype(np.float32)
