"""Gram matrices of infinite-width kernels, the tangent kernel and the NNGP, computed in tiles.

These kernels depend only on the architecture and the inputs, not on anything that was trained.
``twins`` defines which infinite network corresponds to which finite one.
"""

from __future__ import annotations

import functools
import logging
import math
import warnings
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al.kernels.infinite import twins
from ntk_al.types import Array, ArrayLike, GramBlocks

_log = logging.getLogger(__name__)

HEADS = ("pooled", "flattened")
"""What precedes the last layer: global average pooling, or flattening, which is cheaper."""

KINDS = ("ntk", "nngp")
"""The tangent kernel, and the covariance of the outputs over random weights (NNGP)."""

POOLED_LIMIT = 1e9
"""The largest number of pixel covariances, over all pairs of examples, for which ``choose_head``
chooses the pooled head. At this limit, a kernel takes one to ten minutes on two CPU cores; it takes
one minute for ``ConvNet``."""

_LIVE_ARRAYS = 8  # how many arrays of the size of a layer's covariances are alive at once
_FASTEST_TILE = {"cpu": 2**25}  # bytes; on CPUs a tile should fit into the cache
_FASTEST_TILE_ELSEWHERE = 2**30


def infinite_gram(
    module: nn.Module,
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    head: str | None = None,
    kind: str = "ntk",
    memory_budget: int | None = None,
) -> Array:
    """Computes the kernel of the infinite-width twin of a module, for one output.

    This function cannot be used under ``jax.jit``, because Python drives its tiles. They are
    compiled once.

    Args:
      module: a finite Linen module with a row in ``twins.TWINS``; its widths scale the layers.
      x1: inputs, ``[N1, ...]``.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1`` and takes about half the work.
      head: ``"pooled"`` (the exact twin) or ``"flattened"``; ``None`` chooses by the number of
        pixel covariances, see ``choose_head``.
      kind: ``"ntk"`` or ``"nngp"``.
      memory_budget: approximate bytes for the covariances of one tile; ``None`` chooses the fastest
        size.

    Returns:
      ``[N1, N2]`` in the default float dtype; exactly symmetric if ``x2`` is ``None``.

    Raises:
      MissingExtraError: if neural-tangents is not installed.
      TypeError: if an input has the wrong type.
      ValueError: if the module has no twin, a name is unknown, shapes do not match, values are not
        finite, or the budget is too small for one pair of examples.
    """
    checks.one_of("kind", kind, KINDS)
    finite_module, twin = twins.find(module)
    checks.inputs("x1", x1)
    if x2 is not None:
        checks.inputs("x2", x2)
        checks.same_example_shape("x1", x1, "x2", x2)
    num_columns = None if x2 is None else len(x2)
    if head is None:
        head = choose_head(len(x1), num_columns, x1.shape[1:])
    checks.one_of("head", head, HEADS)
    size = _tile_size(max(len(x1), num_columns or 0), x1.shape[1:], head, memory_budget)
    _log.info(
        "infinite-width %s of %s: head %s, tiles of %d by %d examples",
        kind.upper(),
        type(finite_module).__name__,
        head,
        size,
        size,
    )
    kernel = _kernel(twin, finite_module, head == "pooled", kind)
    theta = _tiled(kernel, np.asarray(x1), None if x2 is None else np.asarray(x2), size)
    checks.finite("the infinite-width kernel", theta, hint="Scale the inputs down.")
    return jnp.asarray(theta)


def infinite_blocks(
    module: nn.Module,
    x_labeled: ArrayLike,
    x_pool: ArrayLike,
    *,
    head: str | None = None,
    kind: str = "ntk",
    memory_budget: int | None = None,
) -> GramBlocks:
    """Computes the blocks that a look-ahead needs, with the candidates as evaluation points.

    Args:
      module: see ``infinite_gram``.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_pool: candidates, ``[U, ...]``.
      head: see ``infinite_gram``.
      kind: ``"ntk"`` or ``"nngp"``.
      memory_budget: see ``infinite_gram``.

    Returns:
      Blocks with E = U.

    Raises:
      MissingExtraError: as ``infinite_gram``.
      TypeError: as ``infinite_gram``.
      ValueError: as ``infinite_gram``.
    """
    checks.inputs("x_labeled", x_labeled)
    checks.inputs("x_pool", x_pool)
    checks.same_example_shape("x_labeled", x_labeled, "x_pool", x_pool)
    num_labeled = len(x_labeled)
    x = np.concatenate([np.asarray(x_labeled), np.asarray(x_pool)])
    theta = infinite_gram(module, x, head=head, kind=kind, memory_budget=memory_budget)
    cross, pool = theta[:num_labeled, num_labeled:], theta[num_labeled:, num_labeled:]
    return GramBlocks.square(theta[:num_labeled, :num_labeled], cross, pool)


def choose_head(num_rows: int, num_columns: int | None, example_shape: tuple[int, ...]) -> str:
    """Returns ``"pooled"`` if its cost is within ``POOLED_LIMIT``, and ``"flattened"`` otherwise.

    The pooled kernel takes (H·W)² covariances for one pair of images, and thus about N²/2·(H·W)²
    for N images.

    Args:
      num_rows: N1.
      num_columns: N2; ``None`` for a symmetric kernel.
      example_shape: the shape of one input.

    Examples:
      >>> choose_head(600, None, (8, 8, 1)), choose_head(60, None, (28, 28, 1))
      ('pooled', 'flattened')
    """
    pairs = num_rows * (num_rows + 1) / 2 if num_columns is None else num_rows * num_columns
    affordable = pairs * _covariances(example_shape, "pooled") <= POOLED_LIMIT
    return "pooled" if affordable else "flattened"


def _covariances(example_shape: tuple[int, ...], head: str) -> int:
    """Returns the number of pixel covariances of a pair of examples at full resolution."""
    pixels = math.prod(example_shape[:-1])
    return pixels**2 if head == "pooled" else pixels


def _tile_size(num: int, example_shape: tuple[int, ...], head: str, budget: int | None) -> int:
    """Chooses a tile's side: the largest power of two that fits, but no more than num needs."""
    itemsize = jnp.dtype(jnp.result_type(float)).itemsize
    pair = _covariances(example_shape, head) * itemsize * _LIVE_ARRAYS
    if budget is None:
        budget = max(pair, _FASTEST_TILE.get(jax.default_backend(), _FASTEST_TILE_ELSEWHERE))
    if pair > budget:
        raise ValueError(
            f"the infinite-width kernel of one pair of examples of shape {example_shape} takes "
            f"about {pair / 2**20:.1f} MiB with head={head!r}, but the budget is "
            f"{budget / 2**20:.1f} MiB; raise memory_budget"
            + (" or take head='flattened'" if head == "pooled" else "")
        )
    largest = math.isqrt(budget // pair)
    return min(2 ** (largest.bit_length() - 1), 2 ** (num - 1).bit_length())


def _tiled(
    kernel: Callable[[ArrayLike, ArrayLike], Array],
    x1: np.ndarray,
    x2: np.ndarray | None,
    size: int,
) -> np.ndarray:
    """Computes the kernel of two sets, or of one set from its upper triangle, in tiles."""
    symmetric = x2 is None
    columns = x1 if x2 is None else x2
    theta = np.empty((len(x1), len(columns)), jnp.result_type(float))
    for i in range(0, len(x1), size):
        rows = _cut(x1, i, size)
        for j in range(i if symmetric else 0, len(columns), size):
            tile = np.asarray(kernel(rows, _cut(columns, j, size)))
            tile = tile[: len(x1) - i, : len(columns) - j]
            if symmetric and i == j:
                tile = (tile + tile.T) / 2
            theta[i : i + size, j : j + size] = tile
            if symmetric:
                theta[j : j + size, i : i + size] = tile.T
    return theta


def _cut(x: np.ndarray, start: int, size: int) -> np.ndarray:
    """Cuts ``size`` rows from ``start`` on; repeats of the last row fill a gap at the end."""
    return x[np.minimum(np.arange(start, start + size), len(x) - 1)]


@functools.cache
def _kernel(
    twin: twins.Twin, module: nn.Module, pooled: bool, kind: str
) -> Callable[[ArrayLike, ArrayLike], Array]:
    """Makes the kernel function of a twin, which is compiled once for each shape of tiles."""
    _, _, kernel_function = twin(module, pooled)

    def kernel(x1: ArrayLike, x2: ArrayLike) -> Array:
        with warnings.catch_warnings(), jax.default_matmul_precision("highest"):
            # The warning says that branches must be independent; in a twin they are.
            warnings.filterwarnings("ignore", message=".*FanIn.*")
            result: Array = kernel_function(x1, x2, kind)
        return result

    return jax.jit(kernel)
