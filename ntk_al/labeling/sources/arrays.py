"""Pools that are arrays, in memory or memory-mapped."""

from __future__ import annotations

import os

import numpy as np

from ntk_al._utils import checks
from ntk_al.labeling.sources.source import digest_of
from ntk_al.types import ArrayLike


class Arrays:
    """The rows of an array ``[N, ...]``; one that is memory-mapped is never read as a whole.

    Args:
      x: the array.
      file: the path of the ``.npy`` file that it is, if it is one.

    Raises:
      TypeError: if it is not an array of real numbers.
      ValueError: if it is empty.
    """

    ids = None

    def __init__(self, x: ArrayLike, file: str | None = None) -> None:
        checks.array("x_pool", x)
        self.file = file
        self._x = x if isinstance(x, np.ndarray) else np.asarray(x)
        checks.batch("x_pool", self._x)

    def __len__(self) -> int:
        return len(self._x)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See ``Source``."""
        return np.asarray(self._x[rows])

    def digest(self) -> str:
        """See ``Source``."""
        return digest_of(self)


def open_npy(path: str) -> Arrays:
    """Opens a ``.npy`` file as a memory-mapped pool.

    Raises:
      ValueError: if it is not a ``.npy`` file of numbers.
    """
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{os.path.abspath(path)} is not a .npy file: {error}") from error
    return Arrays(x, path)
