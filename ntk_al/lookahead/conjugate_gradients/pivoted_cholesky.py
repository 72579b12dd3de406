"""Θ(L, L) ≈ FFᵀ from the columns of landmarks.

Landmarks are drawn with probabilities proportional to the diagonal that earlier ones leave, in
blocks of draws (Chen, Epperly, Tropp and Webber 2023, "Randomly pivoted Cholesky").
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from ntk_al._utils import float64
from ntk_al._utils.products import product
from ntk_al._utils.progress import Advance
from ntk_al.lookahead.conjugate_gradients.labeled_kernel import LabeledKernel
from ntk_al.types import Array

_DRAWS = 256  # landmarks that are drawn at once
_PER_ROOT = 10  # landmarks for each √L


def rank(num_labeled: int) -> int:
    """Returns how many landmarks are drawn of L labels."""
    wanted = _DRAWS * math.ceil(_PER_ROOT * math.sqrt(num_labeled) / _DRAWS)
    return min(num_labeled, wanted)


def num_draws(num_labeled: int) -> int:
    """Returns in how many blocks they are drawn."""
    return math.ceil(rank(num_labeled) / _DRAWS)


def factorize(kernel: LabeledKernel, diagonal: np.ndarray, least: float, advance: Advance) -> Array:
    """Returns F, ``[L, r]``.

    Args:
      kernel: Θ(L, L).
      diagonal: its diagonal, ``[L]``.
      least: what is less is taken for a rounding error, on the diagonal and among eigenvalues.
      advance: called after each block of landmarks.
    """
    num = len(diagonal)
    factor = float64.here(jnp.zeros((num, 0)))
    left = diagonal.astype(np.float64)
    rng = np.random.default_rng(0)
    while factor.shape[1] < rank(num) and (left > least).any():
        usable = np.where(left > least, left, 0)
        size = min(_DRAWS, rank(num) - factor.shape[1], np.count_nonzero(usable))
        rows = np.sort(rng.choice(num, size, replace=False, p=usable / usable.sum()))
        columns = float64.here(jnp.asarray(kernel.columns(rows), factor.dtype))
        factor = jnp.concatenate([factor, _next(factor, columns, rows, least)], 1)
        left = np.maximum(diagonal - np.asarray(jnp.square(factor).sum(1)), 0)
        advance()
    return factor


def _next(factor: Array, columns: Array, rows: np.ndarray, least: float) -> Array:
    """Returns the columns that further landmarks add to F, ``[L, n]``."""
    remaining = columns - product(factor, factor[rows].T)
    among = remaining[rows]
    values, vectors = jnp.linalg.eigh((among + among.T) / 2)
    # Copies of a point give the same column, whose share beyond the first is a rounding error.
    scale = jnp.where(values > least, 1 / jnp.sqrt(jnp.maximum(values, least)), 0)
    return product(remaining, vectors * scale)
