"""Padding: zero rows that give sets of similar sizes one shape, so that little is compiled.

In a labeling loop, the numbers of labels and candidates change at every query, and JAX compiles
every program anew for each new shape. Padded rows do not change any score. A padded label is a
point that is uncorrelated with all others and has no residual: A becomes blockdiag(A, aI). At a
padded evaluation point nothing changes, and criteria that would count it anyway give it no weight.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al.types import ArrayLike


def pad(x: ArrayLike, size: int) -> ArrayLike:
    """Appends zero rows to an array ``[N, ...]`` until it has ``size`` rows.

    It works on the host, where nothing is compiled for the number of rows.
    """
    missing = ((0, size - len(x)), *[(0, 0)] * (x.ndim - 1))
    return jnp.pad(x, missing) if checks.is_traced(x) else np.pad(np.asarray(x), missing)


def cut(x: jax.Array, *sizes: int) -> jax.Array:
    """Returns the first rows, columns and so on of an array, as many as ``sizes`` says."""
    part = tuple(slice(size) for size in sizes)
    if checks.is_traced(x):
        return x[part]
    return jax.device_put(np.asarray(x)[part])
