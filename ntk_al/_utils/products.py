"""Products of matrices in full precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al.types import Array


def product(a: Array, b: Array) -> Array:
    """Returns ab; recent GPUs would round float32 operands to TF32 unless told otherwise."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
