"""Applies functions to long leading axes in batches of one shape, so that they compile once.

Python drives the batches, because convolutions inside a loop primitive run an order of magnitude
slower on CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from ntk_al.types import Array, ArrayLike


def default_size() -> int:
    """Returns how many examples should take one pass through a network on this kind of device."""
    return 64 if jax.default_backend() == "cpu" else 512


def split(batch_size: int, *arrays: ArrayLike) -> Iterator[tuple[int, tuple[Array, ...]]]:
    """Splits rows into batches of one shape; the last batch may overlap the one before it.

    Args:
      batch_size: the largest number of rows in a batch.
      *arrays: ``[N, ...]`` each, N ≥ 1; their rows belong together.

    Yields:
      The number of rows at the start of the batch that were already in the previous one, and the
      batch of each array.
    """
    num_rows = len(arrays[0])
    batch_size = min(batch_size, num_rows)
    for start in range(0, num_rows, batch_size):
        first = min(start, num_rows - batch_size)
        yield start - first, tuple(jnp.asarray(a[first : first + batch_size]) for a in arrays)


def map_batches(
    function: Callable[..., Array], *arrays: ArrayLike, batch_size: int | None = None
) -> Array:
    """Applies a row-wise function in batches of one shape.

    Args:
      function: maps arrays ``[B, ...]`` to ``[B, ...]``, each row on its own.
      *arrays: its arguments, ``[N, ...]`` each, N ≥ 1.
      batch_size: the largest number of rows in a batch; ``None`` chooses a size that suits the
        device.

    Returns:
      ``function(*arrays)``, ``[N, ...]``.

    Example:
      >>> map_batches(lambda x: 2 * x, jnp.arange(3.0), batch_size=2).tolist()
      [0.0, 2.0, 4.0]
    """
    outputs = [
        function(*batch)[repeated:]
        for repeated, batch in split(batch_size or default_size(), *arrays)
    ]
    return outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs)
