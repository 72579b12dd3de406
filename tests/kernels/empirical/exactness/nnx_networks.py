"""Networks in Flax NNX. Each is a class that is made from ``rngs`` and left in training mode."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx

from ntk_al import Network
from tests import helpers
from tests.kernels.empirical.exactness import random_values as values
from tests.kernels.empirical.exactness.random_values import VOCABULARY, C, D, T

CASES = {}
"""Name -> function that returns a network and its inputs."""

NEED_FLAX_0_12 = ("AttentionWithAMask", "WeightNormalization", "SpectralNormalization")
"""Before, a mask in float64 makes NaN, and NNX does not have these normalizations."""


def build(make, x, output=None):
    """The network with random values for all its variables."""
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graphdef, params, others = nnx.split(abstract, nnx.Param, ...)
    model = nnx.merge(graphdef, values.parameters(params), values.statistics(others))
    return Network.from_nnx(model, output=output), x


def case(inputs, output=None):
    """Registers a class of networks under its own name."""

    def named(make):
        CASES[make.__name__] = lambda: build(make, inputs(), output)
        return make

    return named


def flat(x):
    return x.reshape(len(x), -1)


class Head(nnx.Module):
    """Logits from a hidden layer that sees every position."""

    def __init__(self, size, rngs):
        self.last = nnx.Linear(size, C, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.tanh(flat(x)))


# Attention and recurrence


class Block(nnx.Module):
    def __init__(self, rngs):
        self.norms = helpers.nnx_list([nnx.LayerNorm(D, rngs=rngs) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(2, D, decode=False, dropout_rate=0.1, rngs=rngs)
        self.mlp = nnx.Sequential(
            nnx.Linear(D, D, rngs=rngs), nnx.gelu, nnx.Linear(D, D, rngs=rngs)
        )
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        x = x + self.dropout(self.attention(self.norms[0](x)))
        return x + self.mlp(self.norms[1](x))


@case(values.images)
class VisionTransformer(nnx.Module):
    def __init__(self, rngs):
        self.patches = nnx.Conv(2, D, (3, 3), strides=3, rngs=rngs)
        self.class_token = nnx.Param(jnp.zeros((1, 1, D)))
        self.positions = nnx.Param(jnp.zeros((1, 5, D)))
        self.blocks = helpers.nnx_list([Block(rngs)])
        self.norm = nnx.LayerNorm(D, rngs=rngs)
        self.head = nnx.Linear(D, C, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x).reshape(len(x), -1, D)
        token = jnp.broadcast_to(self.class_token[...], (len(x), 1, D))
        x = jnp.concatenate([token, x], axis=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


@case(values.masked_ids)
class AttentionWithAMask(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(VOCABULARY, D, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, D, decode=False, rngs=rngs)
        self.head = nnx.Linear(D, C, rngs=rngs)

    def __call__(self, x):
        mask = nnx.make_attention_mask(x["mask"], x["mask"])
        h = self.attention(self.embed(x["ids"]), mask=mask)
        return self.head((h * x["mask"][..., None]).sum(1))


# Cells begin with zeros of the type that parameters have: `float`, which is float64 where it is on.


@case(values.sequences)
class LSTM(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.LSTMCell(D, 4, param_dtype=float, rngs=rngs))
        self.head = Head(4, rngs)

    def __call__(self, x):
        return self.head(self.rnn(x)[:, -1])


@case(values.sequences)
class GRUBackwards(nnx.Module):
    def __init__(self, rngs):
        cell = nnx.GRUCell(D, 4, param_dtype=float, rngs=rngs)
        self.rnn = nnx.RNN(cell, reverse=True, keep_order=True)
        self.head = Head(T * 4, rngs)

    def __call__(self, x):
        return self.head(self.rnn(x))


@case(values.sequences)
class Bidirectional(nnx.Module):
    def __init__(self, rngs):
        cells = [nnx.SimpleCell(D, 3, dtype=None, param_dtype=float, rngs=rngs) for _ in range(2)]
        self.rnn = nnx.Bidirectional(*(nnx.RNN(cell) for cell in cells))
        self.head = Head(T * 6, rngs)

    def __call__(self, x):
        return self.head(self.rnn(x))


# Transformations


class Layer(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.LayerNorm(D, rngs=rngs)
        self.linear = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        return x + nnx.tanh(self.linear(self.norm(x)))


@case(values.vectors)
class ScanOverLayersOfTheirOwn(nnx.Module):
    def __init__(self, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap
        def stacked(rngs):
            return Layer(rngs)

        self.layers = stacked(rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def forward(x, layer):
            return layer(x)

        return self.head(forward(x, self.layers))


@case(values.vectors)
class ScanOverOneLayerAgainAndAgain(nnx.Module):
    def __init__(self, rngs):
        self.layer = Layer(rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, None), out_axes=nnx.Carry, length=3)
        def forward(x, layer):
            return layer(x)

        return self.head(forward(x, self.layer))


@case(values.vectors)
class Remat(nnx.Module):
    def __init__(self, rngs):
        self.layers = helpers.nnx_list([Layer(rngs) for _ in range(2)])
        self.head = Head(D, rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.remat(Layer.__call__)(layer, x)
        return self.head(x)


@case(values.vectors)
class MixtureOfVmappedExperts(nnx.Module):
    """Every expert sees every example; the gate keeps the answer of one, or of all in part."""

    def __init__(self, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap
        def stacked(rngs):
            return nnx.Linear(D, D, rngs=rngs)

        self.experts = stacked(rngs)
        self.gate = nnx.Linear(D, 3, rngs=rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        @nnx.vmap(in_axes=(0, None), out_axes=1)
        def answers(expert, x):
            return nnx.tanh(expert(x))

        gate = nnx.softmax(self.gate(x))
        top = gate * nnx.one_hot(gate.argmax(-1), 3)
        y = answers(self.experts, x)
        return self.head(jnp.einsum("ne,ned->nd", gate, y) + jnp.einsum("ne,ned->nd", top, y))


@case(values.vectors)
class BranchesAndLoops(nnx.Module):
    def __init__(self, rngs):
        self.layers = helpers.nnx_list([nnx.Linear(D, D, rngs=rngs) for _ in range(2)])
        self.head = Head(D, rngs)

    def __call__(self, x):
        one, two = self.layers
        x = nnx.cond(
            jnp.asarray(True),
            lambda one, two, x: two(nnx.tanh(one(x))),
            lambda one, two, x: one(nnx.tanh(two(x))),
            one,
            two,
            x,
        )
        return self.head(nnx.jit(lambda one, x: one(x))(one, x))


# Convolutions and normalization


@case(values.images)
class Convolutions(nnx.Module):
    def __init__(self, rngs):
        self.grouped = nnx.Conv(2, 4, (3, 3), feature_group_count=2, rngs=rngs)
        self.dilated = nnx.Conv(4, 3, (2, 3), kernel_dilation=2, padding="CIRCULAR", rngs=rngs)
        self.transposed = nnx.ConvTranspose(3, 2, (3, 3), strides=(2, 1), rngs=rngs)
        self.head = Head(144, rngs)

    def __call__(self, x):
        return self.head(self.transposed(nnx.tanh(self.dilated(nnx.relu(self.grouped(x))))))


@case(values.images)
class ResidualNetwork(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(2, 4, (3, 3), use_bias=False, rngs=rngs)
        self.norms = helpers.nnx_list([nnx.BatchNorm(4, rngs=rngs), nnx.GroupNorm(4, 2, rngs=rngs)])
        self.second = nnx.Conv(4, 4, (3, 3), strides=2, rngs=rngs)
        self.skip = nnx.Conv(4, 4, (1, 1), strides=2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, C, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norms[0](self.first(x)))
        x = nnx.relu(self.norms[1](self.second(x)) + self.skip(x))
        return self.head(self.dropout(x.mean((1, 2))))


@case(values.vectors)
class OneLayerUnderThreeNames(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(D, D, rngs=rngs)
        self.others = helpers.nnx_list([self.first, self.first])
        self.head = Head(D, rngs)

    def __call__(self, x):
        for layer in (self.first, *self.others):
            x = nnx.tanh(layer(x))
        return self.head(x)


class WeightNormalization(nnx.Module):
    """It writes the normalized weights into its layer in every call, and holds bare arrays."""

    def __init__(self, rngs):
        self.layer = nnx.WeightNorm(nnx.Linear(D, D, rngs=rngs), rngs=rngs)
        self.norm = nnx.RMSNorm(D, rngs=rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        return self.head(self.norm(self.layer(x)))


CASES["WeightNormalization"] = lambda: (  # made for real: bare arrays cannot be abstract
    Network.from_nnx(WeightNormalization(nnx.Rngs(0))),
    values.vectors(),
)


@case(values.vectors)
class SpectralNormalization(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.SpectralNorm(nnx.Linear(D, D, rngs=rngs), rngs=rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        return self.head(self.layer(x, update_stats=False))


# Dense layers and embeddings


@case(values.vectors)
class LoRA(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.LoRALinear(D, D, lora_rank=2, rngs=rngs)
        self.wrapped = nnx.LoRA(D, 2, C, base_module=nnx.Linear(D, C, rngs=rngs), rngs=rngs)

    def __call__(self, x):
        return self.wrapped(nnx.tanh(self.layer(x)))


class Frozen(nnx.Variable):
    """A variable that is no parameter."""


@case(values.vectors)
class LoRAOfAFrozenLayer(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(D, D, rngs=rngs)
        self.layer.kernel = Frozen(self.layer.kernel[...])
        self.adapter = nnx.LoRA(D, 2, D, base_module=self.layer, rngs=rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        return self.head(self.adapter(x))


@case(values.sequences)
class DenseOverOtherAxes(nnx.Module):
    def __init__(self, rngs):
        self.middle = nnx.LinearGeneral(T, 4, axis=1, rngs=rngs)
        self.steps = nnx.Einsum("nik,kij->nkj", (4, D, 2), (4, 2), rngs=rngs)
        self.both = nnx.LinearGeneral((4, 2), C, axis=(1, -1), rngs=rngs)

    def __call__(self, x):
        x = nnx.tanh(self.middle(x))
        return self.both(nnx.tanh(self.steps(x)))


@case(values.ids)
class TiedEmbeddings(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(VOCABULARY, D, rngs=rngs)
        self.row = nnx.Embed(1, D, rngs=rngs)
        self.linear = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        h = self.embed(x).mean(1) * self.row(jnp.zeros(len(x), int))
        return self.embed.attend(nnx.tanh(self.linear(h)))


# What a class may do besides


@case(values.vectors, output=lambda returned: returned[1])
class CountsItsCalls(nnx.Module):
    """It changes its own state, has a parameter that nothing reads, and returns a tuple."""

    def __init__(self, rngs):
        self.calls = nnx.BatchStat(jnp.zeros((), jnp.int32))
        self.scale = nnx.Param(jnp.zeros(()))
        self.unused = nnx.Param(jnp.zeros(3))
        self.layer = nnx.Linear(D, D, rngs=rngs)
        self.head = Head(D, rngs)

    def __call__(self, x):
        self.calls[...] += 1
        x = self.scale * self.layer(x)
        return x, self.head(x)
