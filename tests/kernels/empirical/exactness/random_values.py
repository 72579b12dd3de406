"""Inputs and parameters of tiny networks, drawn by NumPy: nothing is compiled for them."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

N, T, D, C, VOCABULARY = 4, 5, 8, 3, 7
"""Examples, time steps, width, classes and token ids."""


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def vectors():
    return normal(N, D)


def sequences():
    return normal(N, T, D)


def long_sequences():
    return normal(N, 200, 2)


def images():
    return normal(N, 6, 6, 2)


def videos():
    return normal(N, 3, 4, 4, 2)


def volumes():
    return normal(N, 4, 4, 4, 2)


def ids():
    return np.random.default_rng(0).integers(0, VOCABULARY, (N, T)).astype(np.int32)


def masked_ids():
    """Token ids and which of them are not padding, as tokenizers return them."""
    lengths = np.array([T, T - 1, T - 3, T - 2])
    return {"ids": ids(), "mask": np.arange(T) < lengths[:, None]}


def images_and_tables():
    return normal(N, 6, 6, 2), normal(N, D, seed=1)


def parameters(shapes, seed=0):
    """Random values in the place of shapes, of a size that keeps activations near one.

    Leaves of other kinds stay as they are.
    """
    rng = np.random.default_rng(seed)

    def draw(leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        fan_in = math.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 2
        return jnp.asarray(rng.normal(size=leaf.shape) / math.sqrt(max(fan_in, 1)), leaf.dtype)

    return jax.tree.map(draw, shapes)


def statistics(shapes, seed=1):
    """Random positive values in the place of shapes, as running variances have to be.

    Counts are zero, and keys are one key.
    """
    rng = np.random.default_rng(seed)

    def draw(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(0)
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.zeros(leaf.shape, leaf.dtype)
        return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), leaf.dtype)

    return jax.tree.map(draw, shapes)
