"""Rows of the Jacobian: the gradient of the read-out with respect to every parameter."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from ntk_al import batching
from ntk_al.network import Network
from ntk_al.types import Array, ArrayLike, PyTree

_BATCH_SIZE = 32  # samples differentiated together; more costs memory and gains nothing


def num_parameters(network: Network) -> int:
    """P, the length of a row."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(network.params))


def rows(network: Network, x: ArrayLike, readout: str) -> Array:
    """∂g(x)/∂θ for each input: ``[N, ...]`` to ``[N, P]``, in float32 or wider.

    Only ``params`` are differentiated: running statistics and other collections are constants.
    """
    return batching.map_batches(functools.partial(_rows, network, readout=readout), x, _BATCH_SIZE)


@functools.partial(jax.jit, static_argnames="readout")
def _rows(network: Network, x: Array, readout: str) -> Array:
    def g(params: PyTree, example: Array) -> Array:
        return network.replace_params(params).readout(example[None], readout)[0]

    gradients = jax.vmap(jax.grad(g), in_axes=(None, 0))(network.params, x)
    leaves = jax.tree_util.tree_leaves(gradients)
    dtype = jnp.promote_types(jnp.result_type(*leaves), jnp.float32)
    return jnp.concatenate([leaf.reshape(len(x), -1).astype(dtype) for leaf in leaves], axis=1)
