"""One network in four libraries, with the same weights: a convolution and two dense layers."""

from __future__ import annotations

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from ntk_al import Network
from tests.kernels.empirical.exactness import random_values as values
from tests.kernels.empirical.exactness.random_values import C, D

SIZE = 3 * 3 * 4
SHAPES = {
    "conv": {"kernel": (3, 3, 2, 4), "bias": (4,)},
    "hidden": {"kernel": (SIZE, D), "bias": (D,)},
    "head": {"kernel": (D, C), "bias": (C,)},
}


def inputs():
    return values.normal(9, 6, 6, 2).astype(np.float64)


def weights():
    """Layers as Flax stores them, in float64."""
    rng = np.random.default_rng(0)
    return {
        layer: {name: jnp.asarray(rng.normal(size=shape) / 3) for name, shape in shapes.items()}
        for layer, shapes in SHAPES.items()
    }


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3, 3), strides=2, name="conv")(x)).reshape(len(x), -1)
        return nn.Dense(C, name="head")(nn.tanh(nn.Dense(D, name="hidden")(x)))


def linen():
    return Network(Linen(), {"params": weights()})


class NNX(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), strides=2, rngs=rngs)
        self.hidden = nnx.Linear(SIZE, D, rngs=rngs)
        self.head = nnx.Linear(D, C, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv(x)).reshape(len(x), -1)
        return self.head(nnx.tanh(self.hidden(x)))


def of_nnx():
    model = NNX(nnx.Rngs(0))
    nnx.update(model, weights())
    return Network.from_nnx(model)


class Equinox(eqx.Module):
    """Channels come first inside: the image and what the convolution returns are transposed."""

    conv: eqx.nn.Conv2d
    hidden: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, key):
        self.conv = eqx.nn.Conv2d(2, 4, 3, stride=2, padding=((0, 1), (0, 1)), key=key)
        self.hidden = eqx.nn.Linear(SIZE, D, key=key)
        self.head = eqx.nn.Linear(D, C, key=key)

    def __call__(self, x):
        x = jax.nn.relu(self.conv(x.transpose(2, 0, 1))).transpose(1, 2, 0)
        return self.head(jnp.tanh(self.hidden(x.ravel())))


def of_equinox():
    w = weights()
    arrays = [
        w["conv"]["kernel"].transpose(3, 2, 0, 1),
        w["conv"]["bias"][:, None, None],
        *(
            leaf
            for layer in ("hidden", "head")
            for leaf in (w[layer]["kernel"].T, w[layer]["bias"])
        ),
    ]
    model = eqx.filter_eval_shape(Equinox, jax.random.key(0))

    def leaves(model):
        layers = model.conv, model.hidden, model.head
        return [leaf for layer in layers for leaf in (layer.weight, layer.bias)]

    return Network.from_equinox(eqx.tree_at(leaves, model, arrays))


def apply(params, x):
    dimensions = ("NHWC", "HWIO", "NHWC")
    conv, hidden, head = params["conv"], params["hidden"], params["head"]
    x = lax.conv_general_dilated(x, conv["kernel"], (2, 2), "SAME", dimension_numbers=dimensions)
    x = jax.nn.relu(x + conv["bias"]).reshape(len(x), -1)
    return jnp.tanh(x @ hidden["kernel"] + hidden["bias"]) @ head["kernel"] + head["bias"]


def plain():
    return Network.from_function(apply, weights())


BUILDERS = (linen, of_nnx, of_equinox, plain)
