"""Where the examples of a pool come from.

To add a kind of file, write a class with the attributes of ``Source`` in a file of its own and, if
a path alone says enough, add a row to ``BY_SUFFIX``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ntk_al.labeling.sources.array_records import ArrayRecord
from ntk_al.labeling.sources.arrays import Arrays, open_npy
from ntk_al.labeling.sources.images import ImageFolder
from ntk_al.labeling.sources.source import Source
from ntk_al.labeling.sources.standardized import Standardized
from ntk_al.labeling.sources.tables import Table

__all__ = [
    "BY_SUFFIX",
    "ArrayRecord",
    "Arrays",
    "ImageFolder",
    "Source",
    "Standardized",
    "Table",
    "open_source",
]

BY_SUFFIX: dict[str, Callable[[str], Source]] = {
    ".npy": open_npy,
    ".csv": Table,
    ".parquet": Table,
    "": ImageFolder,  # a folder
}
"""How a path is opened, by its suffix."""


def open_source(x_pool: Any) -> Source:
    """Makes a source of whatever a user passes as a pool.

    Args:
      x_pool: an array ``[N, ...]``, a source, or the path of a ``.npy``, ``.csv`` or ``.parquet``
        file or of a folder of images.

    Raises:
      FileNotFoundError: if there is nothing at the path.
      TypeError: if it is none of these.
      ValueError: if the kind of file is unknown, or there are no examples.
    """
    if isinstance(x_pool, str | os.PathLike):
        path = os.fspath(x_pool)
        if not os.path.exists(path):
            raise FileNotFoundError(f"no such file or folder: {os.path.abspath(path)}")
        suffix = "" if os.path.isdir(path) else os.path.splitext(path)[1].lower()
        if suffix not in BY_SUFFIX or (suffix == "") != os.path.isdir(path):
            raise ValueError(
                f"{path} is no pool: it must be a folder of images or a file of the kinds "
                f"{', '.join(filter(None, BY_SUFFIX))}; for records, pass labeling.ArrayRecord"
            )
        return BY_SUFFIX[suffix](path)
    if isinstance(x_pool, Source) and not hasattr(x_pool, "dtype"):
        return x_pool
    return Arrays(x_pool)
