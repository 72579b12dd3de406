"""Pools that are files of records, in the format array_record."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntk_al._utils import extras
from ntk_al.labeling.sources.source import digest_of


class ArrayRecord:
    """The records of one or several ``.array_record`` files, one after another.

    Args:
      paths: a file, or several.
      decode: makes an input ``[...]`` of the network from the bytes of a record.

    Raises:
      FileNotFoundError: if a file does not exist.
      MissingExtraError: if array_record is not installed.
    """

    ids = None

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        decode: Callable[[bytes], np.ndarray],
    ) -> None:
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        files = [os.fspath(path) for path in several]
        for path in files:
            if not os.path.isfile(path):
                raise FileNotFoundError(f"no such file: {os.path.abspath(path)}")
        self._records = _open(files)
        self._decode = decode

    def __len__(self) -> int:
        return len(self._records)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See ``Source``."""
        records = self._records.__getitems__([int(row) for row in rows])
        return np.stack([np.asarray(self._decode(record)) for record in records])

    def digest(self) -> str:
        """See ``Source``."""
        return digest_of(self)


def _open(files: list[str]) -> Any:
    with extras.needed("files of records need", "array_record", extra="data"):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

    return ArrayRecordDataSource(files)
