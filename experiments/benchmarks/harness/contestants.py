"""Contestants in this process: our kernel, a direct one, neural-tangents, and the floor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntk_al import Network, kernels
from ntk_al.kernels.infinite import neural_tangents_compat
from ntk_al.types import Array, PyTree

from . import tiles
from .problem import num_parameters
from .race import Contestant

OURS, PLAIN = "ntk_al", "vmap(grad), product"
NEURAL_TANGENTS = {
    # Forms the rows of the Jacobian again for every pair of tiles, so large tiles save work.
    "JACOBIAN_CONTRACTION": (8, 16, 32, 64, 128, 256, 512, tiles.WHOLE),
    # Differentiates every pair of examples, so large tiles save nothing and take long to try.
    "NTK_VECTOR_PRODUCTS": (4, 8, 16),
}
PLAIN_BATCH = 32
FLOOR_BATCHES = (32, 64, 128, 256)


def in_process(network: Network, x: Array, memory_budget: int) -> dict[str, Contestant]:
    """Makes the contestants for our kernel and the direct one, of all examples."""
    return {
        OURS: Contestant(lambda: kernels.gram(network, x, memory_budget=memory_budget), len(x)),
        PLAIN: Contestant(lambda: plain(network, x), len(x)),
    }


def plain(network: Network, x: Array) -> Array:
    """Computes Θ(x, x) directly: rows by ``vmap(grad)``, then one matrix product."""
    starts = range(0, len(x), PLAIN_BATCH)
    rows = jnp.concatenate([_rows(network, x[i : i + PLAIN_BATCH]) for i in starts])
    return _square(rows)


@jax.jit
def _rows(network: Network, x: Array) -> Array:
    def g(params: PyTree, example: Array) -> Array:
        return network.with_params(params).readout(example[None])[0]

    gradients = jax.vmap(jax.grad(g), in_axes=(None, 0))(network.params, x)
    leaves = jax.tree.leaves(gradients)
    return jnp.concatenate([leaf.reshape(len(x), -1) for leaf in leaves], axis=1)


@jax.jit
def _square(rows: Array) -> Array:
    return jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)


def neural_tangents(network: Network, x: Array, implementation: str) -> Callable[[int, int], Array]:
    """Makes a function ``kernel(tile, num_examples)`` that runs neural-tangents in tiles.

    A tile of all N examples is not batched.
    """
    nt = neural_tangents_compat.load()

    def f(params: PyTree, x: Array) -> Array:
        return network.with_params(params).logits(x)[:, :1]

    @functools.cache
    def compiled(tile: int) -> Callable[..., Array]:
        kernel = nt.empirical_ntk_fn(
            f,
            trace_axes=(-1,),
            vmap_axes=0,
            implementation=nt.NtkImplementation[implementation],
        )
        return nt.batch(kernel, 0 if tile == len(x) else tile, device_count=0)

    def kernel(tile: int, num_examples: int) -> Array:
        return compiled(tile)(x[:num_examples], None, network.params)

    return kernel


def floor_parts(network: Network, x: Array, memory_budget: int) -> dict[str, Callable[[], Any]]:
    """Makes the parts of the floor, which no kernel from Jacobian rows can avoid.

    They are a forward and backward pass and a matrix product. The pass comes in several batch
    sizes, because the best one is harder to beat than a batch of all N examples.

    Returns:
      A call ``"pass B"`` for each batch size B, and ``"product"`` for the float32 product of N × P
      and P × N matrices.
    """

    def passes(batch_size: int) -> list[PyTree]:
        return [_gradient(network, x[i : i + batch_size]) for i in range(0, len(x), batch_size)]

    sizes = {*(size for size in FLOOR_BATCHES if size < len(x)), len(x)}
    parts: dict[str, Callable[[], Any]] = {
        f"pass {size}": functools.partial(passes, size) for size in sorted(sizes)
    }
    # If the whole matrix does not fit into memory, blocks of its columns are multiplied.
    num_columns = num_parameters(network)
    num_blocks = -(-4 * len(x) * num_columns // memory_budget)
    block = jax.random.normal(jax.random.key(0), (len(x), -(-num_columns // num_blocks)))
    parts["product"] = lambda: [_square(block) for _ in range(num_blocks)]
    return parts


@jax.jit
def _gradient(network: Network, x: Array) -> PyTree:
    return jax.grad(lambda p: network.with_params(p).readout(x).sum())(network.params)
