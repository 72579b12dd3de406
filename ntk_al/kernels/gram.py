"""Gram matrices of the tangent kernel, tile by tile.

A tile is a group of examples whose Jacobian rows are held together. While all rows fit the memory
budget each is formed once; beyond it the rows of one tile stay and the others are formed anew.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al import checks
from ntk_al.kernels import jacobian
from ntk_al.network import DIVERGED, READOUTS, Network
from ntk_al.types import Array, ArrayLike, GramBlocks

_TILE = 256  # examples in a tile where memory allows
_MEMORY_BUDGET = 4 * 2**30


def gram(
    network: Network,
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    readout: str = "first_logit",
    memory_budget: int = _MEMORY_BUDGET,
) -> Array:
    """Θ(x1, x2) = ⟨∂g(x1)/∂θ, ∂g(x2)/∂θ⟩, the empirical tangent kernel of one read-out.

    The paper's Section 3.3: one scalar stands for all logits, so the kernel does not grow with C.

    Args:
      network: the trained network; BatchNorm is frozen and its statistics are constants.
      x1: inputs, ``[N1, ...]``.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1``, and half the work.
      readout: ``"first_logit"`` (the paper) or ``"sum_logits"`` (the authors' released code).
      memory_budget: bytes that Jacobian rows may take.

    Returns:
      ``[N1, N2]`` in float32, or float64 where the parameters are.

    Raises:
      TypeError, ValueError: inputs or a network that do not fit; a non-finite kernel.
    """
    checks.one_of("readout", readout, READOUTS)
    checks.inputs("x1", x1)
    network.check(x1)
    if x2 is not None:
        checks.inputs("x2", x2)
        checks.same_example_shape("x1", x1, "x2", x2)
    tile = _tile_size(network, memory_budget)
    rows_bytes = 4 * jacobian.num_parameters(network) * (len(x1) + (0 if x2 is None else len(x2)))
    keep = rows_bytes <= memory_budget
    rows1 = _Rows(network, x1, readout, tile, keep=keep)
    rows2 = rows1 if x2 is None else _Rows(network, x2, readout, tile, keep=keep)
    theta = _symmetric(rows1) if x2 is None else _rectangular(rows1, rows2)
    checks.finite("the kernel", theta, hint=DIVERGED)
    return theta


def diagonal(network: Network, x: ArrayLike, *, readout: str = "first_logit") -> Array:
    """The diagonal of Θ(x, x): the squared norm of each Jacobian row, ``[N, ...]`` to ``[N]``."""
    checks.one_of("readout", readout, READOUTS)
    checks.inputs("x", x)
    network.check(x)
    rows = _Rows(network, x, readout, _tile_size(network, _MEMORY_BUDGET), keep=False)
    return jnp.concatenate([jnp.square(rows[i]).sum(1) for i in range(len(rows))])


def blocks(
    network: Network,
    x_labeled: ArrayLike,
    x_pool: ArrayLike,
    x_eval: ArrayLike | None = None,
    *,
    readout: str = "first_logit",
) -> GramBlocks:
    """Every block of the kernel that a look-ahead needs, from one Gram matrix.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_pool: candidates, ``[U, ...]``.
      x_eval: points whose change is measured, ``[E, ...]``; ``None`` means the candidates.
      readout: see ``gram``.
    """
    num_labeled = len(x_labeled)
    if x_eval is None:
        theta = gram(network, _stack(x_labeled, x_pool), readout=readout)
        return GramBlocks(
            labeled=theta[:num_labeled, :num_labeled],
            labeled_pool=theta[:num_labeled, num_labeled:],
            labeled_eval=theta[:num_labeled, num_labeled:],
            eval_pool=theta[num_labeled:, num_labeled:],
            pool_diagonal=jnp.diagonal(theta)[num_labeled:],
        )
    theta = gram(network, _stack(x_labeled, x_eval), _stack(x_labeled, x_pool), readout=readout)
    labeled = theta[:num_labeled, :num_labeled]
    return GramBlocks(
        labeled=(labeled + labeled.T) / 2,
        labeled_pool=theta[:num_labeled, num_labeled:],
        labeled_eval=theta[num_labeled:, :num_labeled].T,
        eval_pool=theta[num_labeled:, num_labeled:],
        pool_diagonal=diagonal(network, x_pool, readout=readout),
    )


class _Rows:
    """Jacobian rows by tile, kept once formed or formed at each use."""

    def __init__(
        self, network: Network, x: ArrayLike, readout: str, tile: int, *, keep: bool
    ) -> None:
        tiles = [x[start : start + tile] for start in range(0, len(x), tile)]
        self._form: Callable[[int], Array] = lambda i: jacobian.rows(network, tiles[i], readout)
        self._kept: list[Array] | None = (
            [self._form(i) for i in range(len(tiles))] if keep else None
        )
        self._num_tiles = len(tiles)

    def __len__(self) -> int:
        return self._num_tiles

    def __getitem__(self, i: int) -> Array:
        return self._form(i) if self._kept is None else self._kept[i]


def _tile_size(network: Network, memory_budget: int) -> int:
    checks.positive("memory_budget", memory_budget)
    # Two tiles of rows at once, and the per-leaf gradients that the rows are copied from.
    fitting = int(memory_budget // (4 * 4 * jacobian.num_parameters(network)))
    return max(1, min(_TILE, fitting))


def _symmetric(rows: _Rows) -> Array:
    n = len(rows)
    tiles: list[list[Array]] = [[None] * n for _ in range(n)]  # type: ignore[list-item]
    for i in range(n):
        rows_i = rows[i]
        for j in range(i, n):
            tiles[i][j] = _product(rows_i, rows_i if j == i else rows[j])
            tiles[j][i] = tiles[i][j].T
    return jnp.block(tiles)


def _rectangular(rows1: _Rows, rows2: _Rows) -> Array:
    tiles = []
    for i in range(len(rows1)):
        rows_i = rows1[i]
        tiles.append([_product(rows_i, rows2[j]) for j in range(len(rows2))])
    return jnp.block(tiles)


@jax.jit
def _product(a: Array, b: Array) -> Array:
    # Recent GPUs would round float32 operands to TF32 unless told otherwise.
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def _stack(a: ArrayLike, b: ArrayLike) -> Array:
    return jnp.concatenate([jnp.asarray(a), jnp.asarray(b)])
