"""Networks in Equinox. Each is a class that is made from ``key`` and takes ONE example."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import Network
from tests.kernels.empirical.exactness import random_values as values
from tests.kernels.empirical.exactness.random_values import VOCABULARY, C, D, T

CASES = {}
"""Name -> function that returns a network and its inputs."""


def build(make, x, output=None):
    """The network with random values for all its parameters."""
    shapes = eqx.filter_eval_shape(make, jax.random.key(0))
    return Network.from_equinox(values.parameters(shapes), output=output), x


def case(inputs, output=None):
    """Registers a class of networks under its own name."""

    def named(make):
        CASES[make.__name__] = lambda: build(make, inputs(), output)
        return make

    return named


def channels_first():
    return np.moveaxis(values.images(), -1, 1).copy()


class Head(eqx.Module):
    """Logits from a hidden layer that sees every position."""

    last: eqx.nn.Linear

    def __init__(self, size, key):
        self.last = eqx.nn.Linear(size, C, key=key)

    def __call__(self, x):
        return self.last(jnp.tanh(x.ravel()))


# Attention and recurrence


class Block(eqx.Module):
    norms: list
    attention: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        keys = jax.random.split(key)
        self.norms = [eqx.nn.LayerNorm(D), eqx.nn.LayerNorm(D)]
        self.attention = eqx.nn.MultiheadAttention(
            2, D, use_query_bias=True, use_output_bias=True, key=keys[0]
        )
        self.mlp = eqx.nn.MLP(D, D, D, depth=1, activation=jax.nn.gelu, key=keys[1])
        self.dropout = eqx.nn.Dropout(0.1, inference=True)

    def __call__(self, x):
        h = jax.vmap(self.norms[0])(x)
        x = x + self.dropout(self.attention(h, h, h))
        return x + jax.vmap(lambda row: self.mlp(self.norms[1](row)))(x)


@case(channels_first)
class VisionTransformer(eqx.Module):
    patches: eqx.nn.Conv2d
    class_token: jax.Array
    positions: jax.Array
    blocks: list
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.patches = eqx.nn.Conv2d(2, D, 3, stride=3, key=keys[0])
        self.class_token = jnp.zeros((1, D))
        self.positions = jnp.zeros((5, D))
        self.blocks = [Block(keys[1])]
        self.norm = eqx.nn.LayerNorm(D)
        self.head = eqx.nn.Linear(D, C, key=keys[2])

    def __call__(self, x):
        x = self.patches(x).reshape(D, -1).T
        x = jnp.concatenate([self.class_token, x]) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[0]))


@case(values.masked_ids)
class AttentionWithAMask(eqx.Module):
    embed: eqx.nn.Embedding
    rotary: eqx.nn.RotaryPositionalEmbedding
    attention: eqx.nn.MultiheadAttention
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.embed = eqx.nn.Embedding(VOCABULARY, D, key=keys[0])
        self.rotary = eqx.nn.RotaryPositionalEmbedding(4)
        self.attention = eqx.nn.MultiheadAttention(2, D, key=keys[1])
        self.head = eqx.nn.Linear(D, C, key=keys[2])

    def __call__(self, x):
        h = jax.vmap(self.embed)(x["ids"])
        mask = x["mask"][:, None] & x["mask"]

        def rotate(query, key, value):
            return *(jax.vmap(self.rotary, 1, 1)(h) for h in (query, key)), value

        h = self.attention(h, h, h, mask=mask, process_heads=rotate)
        return self.head((h * x["mask"][:, None]).sum(0))


@case(values.sequences)
class LSTM(eqx.Module):
    cell: eqx.nn.LSTMCell
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key)
        self.cell = eqx.nn.LSTMCell(D, 4, key=keys[0])
        self.head = Head(4, keys[1])

    def __call__(self, x):
        zeros = jnp.zeros(4, x.dtype)
        (h, _), _ = jax.lax.scan(lambda c, x_t: (self.cell(x_t, c), None), (zeros, zeros), x)
        return self.head(h)


@case(values.sequences)
class GRUBackwards(eqx.Module):
    """Its first state is a parameter."""

    cell: eqx.nn.GRUCell
    first: jax.Array
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(D, 4, key=keys[0])
        self.first = jnp.zeros(4)
        self.head = Head(T * 4, keys[1])

    def __call__(self, x):
        def step(h, x_t):
            h = self.cell(x_t, h)
            return h, h

        return self.head(jax.lax.scan(step, self.first, x, reverse=True)[1])


# Transformations


class Layer(eqx.Module):
    norm: eqx.nn.LayerNorm
    linear: eqx.nn.Linear

    def __init__(self, key):
        self.norm = eqx.nn.LayerNorm(D)
        self.linear = eqx.nn.Linear(D, D, key=key)

    def __call__(self, x):
        return x + jnp.tanh(self.linear(self.norm(x)))


@case(values.vectors)
class ScanOverLayersOfTheirOwn(eqx.Module):
    layers: Layer
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.layers = eqx.filter_vmap(Layer)(keys[:3])
        self.head = Head(D, keys[3])

    def __call__(self, x):
        arrays, static = eqx.partition(self.layers, eqx.is_array)

        def apply(x, arrays):
            return eqx.filter_checkpoint(eqx.combine(arrays, static))(x), None

        return self.head(jax.lax.scan(apply, x, arrays)[0])


@case(values.vectors)
class EnsembleOfVmappedMembers(eqx.Module):
    members: eqx.nn.MLP

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.members = eqx.filter_vmap(lambda key: eqx.nn.MLP(D, C, 4, depth=2, key=key))(keys)

    def __call__(self, x):
        answers = eqx.filter_vmap(lambda member, x: member(x), in_axes=(eqx.if_array(0), None))
        return jnp.sin(answers(self.members, x)).sum(0)


@case(values.vectors)
class EulerSteps(eqx.Module):
    """A neural differential equation: one layer in a loop of a static length."""

    field: eqx.nn.MLP
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key)
        self.field = eqx.nn.MLP(D, D, 4, depth=1, activation=jnp.tanh, key=keys[0])
        self.head = Head(D, keys[1])

    def __call__(self, x):
        return self.head(jax.lax.fori_loop(0, 5, lambda _, x: x + 0.2 * self.field(x), x))


@case(values.vectors)
class BranchForEachExample(eqx.Module):
    """Which layer an example takes depends on the example."""

    layers: list
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.layers = [eqx.nn.Linear(D, D, key=keys[0]), eqx.nn.Linear(D, D, key=keys[1])]
        self.head = Head(D, keys[2])

    def __call__(self, x):
        one, two = self.layers
        h = jax.lax.cond(x[0] > 0, lambda x: one(jnp.sin(two(x))), lambda x: two(x), x)
        return self.head(eqx.filter_jit(one)(h))


# Convolutions and normalization


@case(channels_first)
class Convolutions(eqx.Module):
    layers: eqx.nn.Sequential

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        around = {"padding": "SAME", "padding_mode": "CIRCULAR"}
        self.layers = eqx.nn.Sequential(
            [
                eqx.nn.Conv2d(2, 4, 3, groups=2, stride=2, padding=1, key=keys[0]),
                eqx.nn.GroupNorm(2, 4),
                eqx.nn.Lambda(jax.nn.relu),
                eqx.nn.Conv2d(4, 3, 2, dilation=2, **around, key=keys[1]),
                eqx.nn.MaxPool2d(2, 1),
                eqx.nn.Lambda(jnp.ravel),
                eqx.nn.Linear(12, C, key=keys[2]),
            ]
        )

    def __call__(self, x):
        return self.layers(x)


@case(channels_first)
class DepthwiseConvolution(eqx.Module):
    depthwise: eqx.nn.Conv2d
    pointwise: eqx.nn.Conv2d
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.depthwise = eqx.nn.Conv2d(2, 4, 3, groups=2, key=keys[0])
        self.pointwise = eqx.nn.Conv2d(4, 3, 1, key=keys[1])
        self.head = Head(48, keys[2])

    def __call__(self, x):
        return self.head(self.pointwise(jax.nn.silu(self.depthwise(x))))


@case(values.sequences)
class ConvolutionOfSeries(eqx.Module):
    conv: eqx.nn.Conv1d
    transposed: eqx.nn.ConvTranspose1d
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.conv = eqx.nn.Conv1d(D, 4, 2, padding=((2, 0),), dilation=2, key=keys[0])
        self.transposed = eqx.nn.ConvTranspose1d(4, 4, 2, groups=2, key=keys[1])
        self.head = Head(24, keys[2])

    def __call__(self, x):
        return self.head(self.transposed(jnp.tanh(self.conv(x.T))))


@case(channels_first)
class WeightNormalization(eqx.Module):
    conv: eqx.nn.WeightNorm
    norm: eqx.nn.RMSNorm
    linear: eqx.nn.WeightNorm

    def __init__(self, key):
        keys = jax.random.split(key)
        self.conv = eqx.nn.WeightNorm(eqx.nn.Conv2d(2, 2, 3, key=keys[0]))
        self.norm = eqx.nn.RMSNorm(32)
        self.linear = eqx.nn.WeightNorm(eqx.nn.Linear(32, C, key=keys[1]), axis=None)

    def __call__(self, x):
        return self.linear(self.norm(jnp.tanh(self.conv(x)).ravel()))


# What hides a parameter


@case(values.ids)
class TiedEmbeddings(eqx.Module):
    shared: eqx.nn.Shared
    hidden: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        embed = eqx.nn.Embedding(VOCABULARY, D, key=keys[0])
        logits = eqx.nn.Linear(D, VOCABULARY, key=keys[1])
        self.shared = eqx.nn.Shared(
            (embed, logits), lambda pair: pair[1].weight, lambda pair: pair[0].weight
        )
        self.hidden = eqx.nn.Linear(D, D, key=keys[2])

    def __call__(self, x):
        embed, logits = self.shared()
        return logits(jnp.tanh(self.hidden(jax.vmap(embed)(x).mean(0))))


@case(values.vectors)
class HyperNetwork(eqx.Module):
    """A network of the input makes the weights of the layer that the input then passes."""

    weights: eqx.nn.Linear
    template: eqx.nn.Linear
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.weights = eqx.nn.Linear(D, 4 * D, key=keys[0])
        self.template = eqx.nn.Linear(D, 4, key=keys[1])
        self.head = Head(4, keys[2])

    def __call__(self, x):
        made = jnp.tanh(self.weights(x)).reshape(4, D)
        layer = eqx.tree_at(lambda layer: layer.weight, self.template, made)
        return self.head(layer(x))


@case(values.vectors, output=lambda returned: returned[0])
class FrozenLayer(eqx.Module):
    """Gradients do not enter one layer; an array of integers is a part of the model."""

    frozen: eqx.nn.Linear
    order: jax.Array
    head: Head

    def __init__(self, key):
        keys = jax.random.split(key)
        self.frozen = eqx.nn.Linear(D, D, key=keys[0])
        self.order = np.arange(D)[::-1].copy()
        self.head = Head(D, keys[1])

    def __call__(self, x):
        frozen = jax.tree.map(
            lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, self.frozen
        )
        hidden = frozen(x)[self.order]
        return self.head(hidden), hidden


CASES["BareMLP"] = lambda: build(
    lambda key: eqx.nn.MLP(D, C, 4, depth=2, activation=jax.nn.elu, key=key), values.vectors()
)
