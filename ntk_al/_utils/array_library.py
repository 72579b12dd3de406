"""One code for NumPy arrays, for which nothing is compiled, and for JAX arrays, also traced."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ntk_al.types import ArrayLike


def of(values: ArrayLike) -> Any:
    """Returns ``numpy`` for a NumPy array and ``jax.numpy`` for a JAX array."""
    return np if isinstance(values, np.ndarray) else jnp
