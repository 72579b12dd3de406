"""Θ(L, L) as products with vectors, of which one tile at a time exists.

Tiles are kept, in the dtype of the kernel and half of them because it is symmetric, as far as
memory allows. Those that do not fit are computed anew for every product.
"""

from __future__ import annotations

import logging
import math

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import examples, float64, memory, sharding
from ntk_al.kernels.empirical import execute
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.problem import Problem
from ntk_al.types import Array

TILE = 4096
"""Rows and columns of a tile, unless a smaller ``memory_budget`` is given."""

_SHARE = 0.25  # of free memory, that tiles may take
_TILE_BYTES = 32  # of each entry: the kernel in float32 and float64, and what computes it


class LabeledKernel:
    """The kernel of the labeled points with each other.

    Args:
      problem: the inputs.
      options: how the kernel is computed.
    """

    def __init__(self, problem: Problem, options: ScoreOptions) -> None:
        self._problem, self._options = problem, options
        self._everywhere = sharding.everywhere(sharding.automatic(options.mesh))
        self._num = len(problem.residual)
        tile = TILE
        if options.memory_budget is not None:
            tile = min(tile, max(1, math.isqrt(options.memory_budget // _TILE_BYTES)))
        self._log_level = logging.INFO
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._room = options.memory_budget or _SHARE * memory.free()
        self._tiles = [
            slice(start, min(start + tile, self._num)) for start in range(0, self._num, tile)
        ]

    def diagonal(self) -> np.ndarray:
        """Returns the diagonal, ``[L]``."""
        parts = [self._blocks((x,), (), (0,)) for x in map(self._samples, self._tiles)]
        return np.concatenate(parts)

    def columns(self, rows: np.ndarray) -> np.ndarray:
        """Returns the columns of some labeled points, ``[L, n]``."""
        x_rows = examples.take(self._problem.x_labeled, rows)
        parts = [self._blocks((x, x_rows), ((0, 1),)) for x in map(self._samples, self._tiles)]
        return np.concatenate(parts)

    def among(self, rows: np.ndarray) -> np.ndarray:
        """Returns the kernel of some labeled points with each other, ``[n, n]``."""
        return self._blocks((examples.take(self._problem.x_labeled, rows),), ((0, 0),))

    def times(self, v: Array) -> Array:
        """Returns Θ(L, L) v for v ``[L, m]``, in the dtype of v. Half of the tiles are computed."""
        parts = [v[tile] for tile in self._tiles]
        sums: list[Array] = [jnp.zeros_like(part) for part in parts]
        for i in range(len(self._tiles)):
            for j in range(i, len(self._tiles)):
                theta = float64.here(self._tile(i, j))
                sums[i] = _add_product(sums[i], theta, parts[j])
                if i != j:
                    sums[j] = _add_product(sums[j], theta.T, parts[i])
        return jnp.concatenate(sums)

    def _tile(self, i: int, j: int) -> np.ndarray:
        if (i, j) in self._kept:
            return self._kept[i, j]
        x_rows, x_columns = self._samples(self._tiles[i]), self._samples(self._tiles[j])
        if i == j:
            theta = self._blocks((x_rows,), ((0, 0),))
        else:
            theta = self._blocks((x_rows, x_columns), ((0, 1),))
        if theta.nbytes <= self._room:
            self._kept[i, j] = theta
            self._room -= theta.nbytes
        return theta

    def _samples(self, tile: slice) -> examples.PyTree:
        return examples.take(self._problem.x_labeled, tile)

    def _blocks(
        self,
        sets: tuple[examples.PyTree, ...],
        pairs: tuple[tuple[int, int], ...],
        diagonals: tuple[int, ...] = (),
    ) -> np.ndarray:
        """Computes one block or one diagonal."""
        options = self._options
        theta, norms = execute.kernel_blocks(
            self._problem.network,
            sets,
            pairs,
            diagonals=diagonals,
            readout=options.readout,
            precision=options.precision,
            memory_budget=options.memory_budget,
            mesh=options.mesh,
            padded=True,  # so that a last tile of any size compiles little
            log_level=self._log_level,
        )
        self._log_level = logging.DEBUG  # the plans of all tiles are much the same
        (found,) = (*theta, *norms)
        shape = [examples.count(sets[k]) for k in (*pairs, diagonals)[0]]
        return np.asarray(self._everywhere(found))[tuple(slice(size) for size in shape)]


@jax.jit
def _add_product(total: Array, theta: Array, v: Array) -> Array:
    wide = theta.astype(v.dtype)
    return total + jnp.matmul(wide, v, precision=jax.lax.Precision.HIGHEST)
