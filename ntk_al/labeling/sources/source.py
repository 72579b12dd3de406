"""``Source``, where the examples of a pool come from, and the digest that tells pools apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ntk_al._utils import checks
from ntk_al.labeling.events import Id

_ALL_BYTES = 2**30
_SAMPLE = 4096
_CHUNK_BYTES = 2**26


@runtime_checkable
class Source(Protocol):
    """The examples of a pool, any of which can be read without the others.

    Attributes:
      ids: the ids of the examples, if the source has any of its own; else they are numbers.
    """

    @property
    def ids(self) -> Sequence[Id] | None:
        """See above."""

    def __len__(self) -> int:
        """Returns N, the number of examples."""

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Reads some examples, ``[n, ...]``, as inputs of the network.

        Args:
          rows: their rows, in 0..N−1, ``[n]``.
        """

    def digest(self) -> str:
        """Returns a text that differs, in all likelihood, if any example does."""


def digest_of(source: Source, *, facts: Sequence[object] = ()) -> str:
    """Computes the digest of a source from its examples, and checks that they are inputs.

    Up to 1 GiB are read as a whole; of more, 4096 examples at equal distances.

    Args:
      source: the source.
      facts: what else belongs to the digest.

    Raises:
      TypeError: if the examples are not arrays of real numbers.
      ValueError: if there is none, or one has entries that are not finite.
    """
    num = len(source)
    if num == 0:
        raise ValueError("the pool is empty: it has no examples")
    first = source.take(np.arange(1))
    checks.inputs("x_pool", first, axes=1)
    whole = first.nbytes * num <= _ALL_BYTES
    rows = np.arange(num) if whole else np.linspace(0, num - 1, _SAMPLE).astype(int)
    result = hashlib.blake2b(digest_size=16)
    result.update(repr((num, first.shape[1:], str(first.dtype), *facts)).encode())
    for x in _chunks(source, rows, first.nbytes):
        checks.inputs("x_pool", x, axes=1)
        result.update(np.ascontiguousarray(x).data)
    return result.hexdigest() if whole else f"{result.hexdigest()}, of a sample"


def _chunks(source: Source, rows: np.ndarray, num_bytes: int) -> Iterator[np.ndarray]:
    step = max(1, _CHUNK_BYTES // max(1, num_bytes))
    for start in range(0, len(rows), step):
        yield source.take(rows[start : start + step])
