"""Applies functions to long leading axes in batches of few shapes, so that little is compiled.

Python drives the batches, because convolutions inside a loop primitive run an order of magnitude
slower on CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, examples, progress
from ntk_al.types import Array, ArrayLike, PyTree


def default_size() -> int:
    """Returns how many examples should take one pass through a network on this kind of device."""
    return 64 if jax.default_backend() == "cpu" else 512


def bucket(size: int) -> int:
    """Returns the smallest power of two that is at least ``size``."""
    return 2 ** math.ceil(math.log2(size))


def split(batch_size: int, *arrays: PyTree) -> Iterator[tuple[int, tuple[PyTree, ...]]]:
    """Splits rows into batches of one shape.

    The last batch overlaps the one before it. If there are fewer rows than a batch takes, the last
    row is repeated until their number is a power of two.

    Args:
      batch_size: the largest number of rows in a batch.
      *arrays: ``[N, ...]`` each, N ≥ 1, or pytrees of such arrays; their rows belong together.

    Yields:
      The number of rows at the start of the batch that were already in the previous one, and the
      batch of each array.
    """
    num_rows = examples.count(arrays)
    arrays = examples.on_host(arrays)
    if num_rows < batch_size:
        filled = examples.fill(arrays, min(batch_size, bucket(num_rows)))
        yield 0, examples.on_devices(filled)
        return
    for start in range(0, num_rows, batch_size):
        first = min(start, num_rows - batch_size)
        batch = examples.take(arrays, slice(first, first + batch_size))
        yield start - first, examples.on_devices(batch)


def map_batches(
    function: Callable[..., Array], *arrays: PyTree, batch_size: int | None = None
) -> Array:
    """Applies a row-wise function in batches of one shape.

    Args:
      function: maps arrays ``[B, ...]`` to ``[B, ...]``, each row on its own.
      *arrays: its arguments, ``[N, ...]`` each, N ≥ 1, or pytrees of such arrays.
      batch_size: the largest number of rows in a batch; ``None`` chooses a size that suits the
        device.

    Returns:
      ``function(*arrays)``, ``[N, ...]``.

    Examples:
      >>> map_batches(lambda x: 2 * x, jnp.arange(3.0), batch_size=2).tolist()
      [0.0, 2.0, 4.0]
    """
    num_rows = examples.count(arrays)
    batch_size = batch_size or default_size()
    rows = []
    with progress.shown("network", math.ceil(num_rows / batch_size)) as advance:
        for repeated, batch in split(batch_size, *arrays):
            part: ArrayLike = function(*batch)
            # Parts are joined on the host, because slices of every new length would be compiled.
            # Under jit, the function may return tracers whatever its arguments are.
            part = part if checks.is_traced(part) else np.asarray(part)
            rows.append(part[repeated:][:num_rows])
            advance()
    return jnp.concatenate(rows) if checks.is_traced(rows) else jax.device_put(np.concatenate(rows))
