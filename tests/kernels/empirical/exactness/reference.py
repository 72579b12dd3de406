"""The kernel in its plainest form: one gradient of one example at a time, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import compat


def gram(network, x):
    """J Jᵀ, ``[N, N]``; row i of J is ∂f⁽¹⁾(x_i)/∂θ.

    Args:
      network: a network. Its parameters are cast to float64, and integers among them are constants.
      x: inputs, an array or a pytree of arrays ``[N, ...]``. Real numbers are cast to float64.
    """
    with compat.enable_x64(True):
        network, x = network.with_params(in_float64(network.params)), in_float64(x)
        num = len(jax.tree.leaves(x)[0])
        rows = [np.asarray(gradient(network, batch_of_one(x, i))) for i in range(num)]
    return np.stack(rows) @ np.stack(rows).T


@jax.jit
def gradient(network, example):
    """∂f⁽¹⁾(x)/∂θ, flat."""

    def first_logit(params):
        return network.with_params(params).logits(example)[0, 0]

    leaves = jax.tree.leaves(jax.grad(first_logit, allow_int=True)(network.params))
    return jnp.concatenate([leaf.ravel() for leaf in leaves if is_real(leaf)])


def batch_of_one(x, i):
    return jax.tree.map(lambda leaf: leaf[i : i + 1], x)


def in_float64(tree):
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64) if is_real(leaf) else np.asarray(leaf), tree
    )


def is_real(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)
