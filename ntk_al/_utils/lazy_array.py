"""Arrays whose examples are read when they are indexed: a large pool is never held whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ntk_al._utils import checks
from ntk_al.types import ArrayLike


class LazyArray:
    """A source of examples as an array ``[N, ...]`` that reads them when it is indexed.

    Functions that go through a pool part by part, as ``lookahead.select`` does with landmarks,
    never hold the whole of it; others read it as if it were an array in memory. It may be a leaf
    wherever inputs are a pytree. Every pass reads it again, so a slow source is worth a file: an
    array that ``np.load`` maps into memory needs no ``LazyArray``.

    Args:
      source: examples by their number, with ``len(source)`` and ``source[i]``: a list, a data
        source of Grain or tensorflow-datasets, or an ``array_record`` reader. If it has
        ``__getitems__(numbers)``, that reads several at once.
      transform: makes an input of the network, an array ``[...]``, of an example; ``None`` if the
        examples are such arrays.

    Attributes:
      shape: ``(N, ...)``, as the first example has it.
      dtype: the dtype of the first example.

    Raises:
      TypeError: if the source has no length or cannot be indexed, or the first example is not an
        array of numbers.
      ValueError: if there are no examples.

    Examples:
      >>> pool = LazyArray([{"pixels": [0, 51]}, {"pixels": [255, 0]}],
      ...                  lambda example: np.array(example["pixels"], np.float32) / 255)
      >>> pool.shape, pool[1:].round(1).tolist()
      ((2, 2), [[1.0, 0.0]])
    """

    def __init__(self, source: Any, transform: Callable[[Any], ArrayLike] | None = None) -> None:
        if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
            raise TypeError(
                "source must have examples by their number, with len(source) and source[i], got "
                f"{type(source).__name__}. A stream has to be written to a file first"
            )
        if not len(source):
            raise ValueError("source is empty: it has no examples")
        self._source = source
        self._transform = transform
        self._set_shape(len(source), self._example(0, source[0]))

    def _set_shape(self, num: int, first: ArrayLike) -> None:
        self.shape = (num, *first.shape)
        self.dtype = np.dtype(first.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads one example, or those of a slice, a mask or an array of numbers, ``[n, ...]``."""
        if isinstance(rows, int | np.integer):
            return self.read(self._numbers(np.array([rows])))[0]
        return self.read(self._numbers(rows))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Reads all examples."""
        if copy is False:
            raise ValueError("the examples of a LazyArray are not in memory, so they are copied")
        return np.asarray(self[:], dtype)

    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype})"

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Reads some examples.

        Args:
          numbers: which, each in 0..N−1, ``[n]``.

        Returns:
          ``[n, ...]``.

        Raises:
          ValueError: if an example differs from the first one in shape or dtype.
        """
        listed = [int(number) for number in numbers]
        several = getattr(self._source, "__getitems__", None)
        found = [self._source[number] for number in listed] if several is None else several(listed)
        examples = np.empty((len(listed), *self.shape[1:]), self.dtype)
        for row, (number, example) in enumerate(zip(listed, found, strict=True)):
            x = self._example(number, example)
            if x.shape != self.shape[1:] or x.dtype != self.dtype:
                raise ValueError(
                    f"example {number} has shape {x.shape} and dtype {x.dtype}, but example 0 has "
                    f"{self.shape[1:]} and {self.dtype}; transform= must make them alike"
                )
            examples[row] = x
        return examples

    def _example(self, number: int, example: Any) -> np.ndarray:
        x = example if self._transform is None else self._transform(example)
        if not hasattr(x, "dtype"):
            raise TypeError(
                f"example {number} must be an array, got {type(x).__name__}; transform= makes one "
                "of it, such as transform=lambda example: example['image'] / 255"
            )
        checks.array(f"example {number}", x)
        return np.asarray(x)

    def _numbers(self, rows: Any) -> np.ndarray:
        """Numbers in 0..N−1 for what NumPy takes as an index of the first axis."""
        num = len(self)
        if isinstance(rows, slice):
            return np.arange(*rows.indices(num))
        rows = np.asarray(rows)
        if rows.dtype == bool:
            return np.flatnonzero(rows)
        if rows.ndim != 1 or not (np.issubdtype(rows.dtype, np.integer) or rows.size == 0):
            raise TypeError(
                f"a LazyArray is indexed by a number, a slice, a mask or an array of numbers [n], "
                f"got dtype {rows.dtype} and shape {rows.shape}"
            )
        outside = (rows < -num) | (rows >= num)
        if outside.any():
            raise IndexError(f"there is no example {rows[outside][0]}: the array has {num}")
        return rows.astype(np.int64) % num


class Joined(LazyArray):
    """Several arrays ``[N_i, ...]``, one after another, none of which is copied.

    Args:
      parts: the arrays, which have examples of the same shape.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        dtype = np.result_type(*(part.dtype for part in parts))
        self._set_shape(int(self._starts[-1]), np.empty(parts[0].shape[1:], dtype))

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """See ``LazyArray``."""
        of_part = np.searchsorted(self._starts, numbers, side="right") - 1
        result = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        for number, part in enumerate(self._parts):
            here = np.flatnonzero(of_part == number)
            if len(here):
                result[here] = part[numbers[here] - self._starts[number]]
        return result
