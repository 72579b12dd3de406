"""One small network, tanh(x A + a) B + b, with the same weights in every library."""

from __future__ import annotations

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntk_al import Network

D, H, C = 5, 7, 3


def inputs(num=6, seed=0):
    return np.random.default_rng(seed).normal(size=(num, D)).astype(np.float32)


def weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"A": (D, H), "a": (H,), "B": (H, C), "b": (C,)}
    return {
        name: (rng.normal(size=shape) / np.sqrt(H)).astype(np.float32)
        for name, shape in shapes.items()
    }


def apply(w, x):
    return jnp.tanh(x @ w["A"] + w["a"]) @ w["B"] + w["b"]


def function():
    return Network.from_function(apply, weights())


def linen():
    w = weights()
    layers = {
        "layers_0": {"kernel": w["A"], "bias": w["a"]},
        "layers_2": {"kernel": w["B"], "bias": w["b"]},
    }
    return Network(nn.Sequential([nn.Dense(H), nn.tanh, nn.Dense(C)]), {"params": layers})


class NnxModel(nnx.Module):
    def __init__(self):
        w = weights()
        rngs = nnx.Rngs(0)
        self.hidden, self.head = nnx.Linear(D, H, rngs=rngs), nnx.Linear(H, C, rngs=rngs)
        self.hidden.kernel[...], self.hidden.bias[...] = w["A"], w["a"]
        self.head.kernel[...], self.head.bias[...] = w["B"], w["b"]

    def __call__(self, x):
        return self.head(nnx.tanh(self.hidden(x)))


class EquinoxModel(eqx.Module):
    hidden: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self):
        w = weights()
        key = jax.random.key(0)
        self.hidden = _equinox_layer(eqx.nn.Linear(D, H, key=key), w["A"], w["a"])
        self.head = _equinox_layer(eqx.nn.Linear(H, C, key=key), w["B"], w["b"])

    def __call__(self, x):
        return self.head(jnp.tanh(self.hidden(x)))


def _equinox_layer(layer, kernel, bias):
    values = jnp.asarray(kernel.T), jnp.asarray(bias)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, values)


WAYS_IN = {
    "linen": linen,
    "nnx": lambda: Network.from_nnx(NnxModel()),
    "equinox": lambda: Network.from_equinox(EquinoxModel()),
    "function": function,
}
"""Makes the network in each library."""


class NoisyNnx(nnx.Module):
    """BatchNorm and Dropout, in the training mode in which NNX makes a model."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        self.hidden = nnx.Linear(D, H, rngs=rngs)
        self.norm = nnx.BatchNorm(H, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.head = nnx.Linear(H, C, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


class NoisyEquinox(eqx.Module):
    """Dropout, and a PRNG key that every call must pass."""

    hidden: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self):
        keys = jax.random.split(jax.random.key(0))
        self.hidden, self.head = eqx.nn.Linear(D, H, key=keys[0]), eqx.nn.Linear(H, C, key=keys[1])
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, x, key):
        _, key = jax.random.split(key)
        return self.head(self.dropout(jax.nn.relu(self.hidden(x)), key=key))


class Recording(nnx.Module):
    """Counts its calls and records what it sees."""

    def __init__(self):
        self.head = nnx.Linear(D, C, rngs=nnx.Rngs(0))
        self.calls = nnx.Variable(jnp.array(0))

    def __call__(self, x):
        self.calls[...] += 1
        self.seen = nnx.Intermediate(x)
        return self.head(x)
