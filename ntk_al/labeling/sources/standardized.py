"""Pools whose channels or columns are scaled to mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ntk_al.labeling.events import Id
from ntk_al.labeling.sources.source import Source

_SAMPLE = 10_000


class Standardized:
    """The examples of another source, scaled as networks like them.

    Each entry of the last axis, which is a channel of an image or a column of a table, has mean 0
    and standard deviation 1, over at most 10 000 examples at equal distances.

    Args:
      source: the other source.

    Attributes:
      mean: what is subtracted, one number for each channel or column.
      deviation: by what is divided, likewise.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        num = len(source)
        rows = np.unique(np.linspace(0, num - 1, min(num, _SAMPLE)).astype(int))
        x = np.asarray(source.take(rows), np.float64)
        axes = tuple(range(x.ndim - 1))
        self.mean = x.mean(axes)
        deviation = x.std(axes)
        self.deviation = np.where(deviation > 0, deviation, 1)  # a constant channel stays at zero

    @property
    def ids(self) -> Sequence[Id] | None:
        """Those of the other source."""
        return self.source.ids

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See ``Source``; in float32."""
        return self.apply(self.source.take(rows))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Scales other examples alike, such as a test set, ``[n, ...]``; in float32."""
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def digest(self) -> str:
        """That of the other source, said to be scaled."""
        return f"{self.source.digest()}, standardized"

    def path(self, i: Id) -> str | None:
        """The path of an image, if the other source is a folder of images."""
        path = getattr(self.source, "path", None)
        return None if path is None else str(path(i))
