"""Running a function over a long leading axis in equal batches, so that it compiles once."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al.types import Array, ArrayLike


def default_size() -> int:
    """Examples in one pass through a network: few enough for a CPU, or enough for a GPU."""
    return 64 if jax.default_backend() == "cpu" else 512


def map_batches(
    function: Callable[[Array], Array], x: ArrayLike, batch_size: int | None = None
) -> Array:
    """Applies a row-wise function to ``x`` in batches of one shape; the last one is padded.

    A Python loop drives the batches, because convolutions inside a loop primitive run an order of
    magnitude slower on CPUs.

    Args:
      function: maps ``[B, ...]`` to ``[B, ...]``, and treats each row independently.
      x: inputs, ``[N, ...]``, N ≥ 1.
      batch_size: the largest number of rows in one call; ``None`` chooses it by the device.

    Returns:
      ``function(x)``, ``[N, ...]``.

    Example:
      >>> map_batches(lambda x: 2 * x, jnp.arange(3.0), batch_size=2).tolist()
      [0.0, 2.0, 4.0]
    """
    num_rows = x.shape[0]
    batch_size = min(batch_size or default_size(), num_rows)
    outputs = []
    for start in range(0, num_rows, batch_size):
        batch = x[start : start + batch_size]
        missing = batch_size - batch.shape[0]
        if missing:
            # Repeats a real row, since the function may not accept a row of zeros.
            filler = jnp.broadcast_to(batch[-1:], (missing, *batch.shape[1:]))
            batch = jnp.concatenate([jnp.asarray(batch), filler])
        outputs.append(function(jnp.asarray(batch))[: batch_size - missing])
    return outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs)
