"""Networks in Flax Linen. Each is one compact function of its module and the inputs."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ntk_al import Network
from tests.kernels.empirical.exactness import random_values as values
from tests.kernels.empirical.exactness.random_values import VOCABULARY, C, D, T

CASES = {}
"""Name -> function that returns a network and its inputs."""

PARAMETER = nn.initializers.ones  # only the shape counts: random values take its place


class Compact(nn.Module):
    body: Callable

    @nn.compact
    def __call__(self, x):
        return self.body(self, x)


def build(module, x, output=None):
    """The network with random values for all its variables."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    variables = {**values.statistics(shapes), "params": values.parameters(shapes["params"])}
    return Network(module, variables, output=output), x


def case(inputs, output=None):
    """Registers a network ``body(module, x) -> logits`` under its own name."""

    def named(body):
        register(body.__name__, inputs, body, output)
        return body

    return named


def register(name, inputs, body, output=None):
    CASES[name] = lambda: build(Compact(body), inputs(), output)


def flat(x):
    return x.reshape(len(x), -1)


def head(x):
    """Logits from a hidden layer that sees every position."""
    return nn.Dense(C)(nn.tanh(flat(x)))


# Attention and recurrence


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2, param_dtype=float)(h, h)
        return x + nn.Dense(D)(nn.gelu(nn.Dense(D)(nn.LayerNorm()(x))))


@case(values.images)
def vision_transformer(net, x):
    x = nn.Conv(D, (3, 3), strides=3, name="patches")(x).reshape(len(x), -1, D)
    token = net.param("class_token", PARAMETER, (1, 1, D))
    x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, D)), x], axis=1)
    x = x + net.param("positions", PARAMETER, (1, x.shape[1], D))
    return nn.Dense(C)(nn.LayerNorm()(Block()(x))[:, 0])


@case(values.masked_ids)
def attention_with_a_mask(net, x):
    h = nn.Embed(VOCABULARY, D)(x["ids"])
    mask = nn.make_attention_mask(x["mask"], x["mask"])
    h = nn.MultiHeadDotProductAttention(num_heads=2)(h, h, mask=mask)
    return nn.Dense(C)((h * x["mask"][..., None]).sum(1))


# Cells begin with zeros of the type that parameters have: `float`, which is float64 where it is on.


@case(values.sequences)
def lstm(net, x):
    return head(nn.RNN(nn.LSTMCell(4, param_dtype=float))(x)[:, -1])


@case(values.sequences)
def lstm_with_joined_gates(net, x):
    return head(nn.RNN(nn.OptimizedLSTMCell(4, param_dtype=float))(x)[:, -1])


@case(values.sequences)
def gru_backwards(net, x):
    return head(nn.RNN(nn.GRUCell(4, param_dtype=float), reverse=True, keep_order=True)(x))


@case(values.long_sequences)
def long_time_major_gru(net, x):
    cell = nn.GRUCell(3, param_dtype=float)
    return nn.Dense(C)(nn.RNN(cell, time_major=True)(x.swapaxes(0, 1))[-1])


# Lifted transformations


class Layer(nn.Module):
    """A layer in the form that scans take: ``(carry, _) -> (carry, None)``."""

    @nn.compact
    def __call__(self, x, _):
        return x + nn.tanh(nn.Dense(D)(nn.LayerNorm()(x))), None


@case(values.vectors)
def scan_over_remat_layers_of_their_own(net, x):
    layers = nn.scan(
        nn.remat(Layer), variable_axes={"params": 0}, split_rngs={"params": True}, length=3
    )
    return head(layers()(x, None)[0])


@case(values.vectors)
def scan_over_one_layer_again_and_again(net, x):
    layers = nn.scan(Layer, variable_broadcast="params", split_rngs={"params": False}, length=3)
    return head(layers()(x, None)[0])


@case(values.vectors)
def remat_layers(net, x):
    for _ in range(2):
        x, _ = nn.remat(Layer)()(x, None)
    return head(x)


@case(values.vectors)
def vmapped_heads(net, x):
    heads = nn.vmap(
        nn.Dense,
        in_axes=None,
        out_axes=1,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        axis_size=2,
    )
    return heads(C)(x).prod(1)


@case(values.sequences)
def vmapped_over_time(net, x):
    shared = nn.vmap(
        nn.Dense,
        in_axes=1,
        out_axes=1,
        variable_axes={"params": None},
        split_rngs={"params": False},
    )
    return head(shared(D)(x))


@case(values.vectors)
def switch_between_layers(net, x):
    layers = [nn.Dense(D), nn.Dense(D)]
    branches = [lambda net, x, layer=layer: nn.tanh(layer(x)) for layer in layers]
    if net.is_initializing():
        x = branches[0](net, branches[1](net, x))
    return head(nn.switch(jnp.asarray(1), branches, net, x))


# Convolutions

CONVOLUTIONS = {
    "grouped": (values.images, lambda: nn.Conv(4, (3, 3), feature_group_count=2)),
    "depthwise": (values.images, lambda: nn.Conv(2, (3, 3), feature_group_count=2, use_bias=False)),
    "dilated": (values.images, lambda: nn.Conv(3, (3, 2), kernel_dilation=2)),
    "valid": (values.images, lambda: nn.Conv(3, (2, 3), strides=(2, 1), padding="VALID")),
    "padded": (values.images, lambda: nn.Conv(3, (3, 3), padding=((2, 0), (1, 3)), strides=2)),
    "circular": (values.images, lambda: nn.Conv(3, (3, 3), padding="CIRCULAR")),
    "reflected": (values.images, lambda: nn.Conv(3, (3, 3), padding="REFLECT")),
    "input_dilated": (
        values.images,
        lambda: nn.Conv(3, (3, 3), padding=((1, 2), (2, 1)), input_dilation=2),
    ),
    "1d_causal": (
        values.sequences,
        lambda: nn.Conv(4, (2,), padding="CAUSAL", kernel_dilation=2),
    ),
    "3d": (values.volumes, lambda: nn.Conv(3, (2, 2, 2), strides=2)),
    "frame_by_frame": (values.videos, lambda: nn.Conv(3, (3, 3))),
    "unshared": (values.images, lambda: nn.ConvLocal(2, (3, 3), strides=2)),
    "transposed": (values.images, lambda: nn.ConvTranspose(3, (3, 3), strides=(2, 2))),
    "transposed_valid": (
        values.images,
        lambda: nn.ConvTranspose(3, (3, 2), padding="VALID", kernel_dilation=2),
    ),
    "transposed_flipped": (
        values.images,
        lambda: nn.ConvTranspose(3, (3, 3), strides=(2, 2), transpose_kernel=True),
    ),
    "transposed_circular": (
        values.images,
        lambda: nn.ConvTranspose(3, (3, 3), strides=(2, 2), padding="CIRCULAR"),
    ),
}

for _name, (_inputs, _layer) in CONVOLUTIONS.items():
    register(
        f"{_name}_convolution", _inputs, lambda net, x, layer=_layer: head(nn.relu(layer()(x)))
    )


@case(values.images)
def masked_convolution(net, x):
    """A PixelCNN's: the pixels that follow are masked out of the kernel."""
    mask = jnp.ones((3, 3, 2, 3)).at[1, 1:].set(0).at[2].set(0)
    return head(nn.Conv(3, (3, 3), mask=mask)(x))


@case(values.images)
def one_layer_at_three_resolutions(net, x):
    layer = nn.Conv(2, (3, 3))
    pyramid = []
    for _ in range(3):
        x = nn.tanh(layer(x))
        pyramid.append(x.mean((1, 2)))
        x = nn.avg_pool(x, (2, 2), (2, 2), "SAME")
    return nn.Dense(C)(jnp.concatenate(pyramid, axis=-1))


@case(values.images)
def residual_network(net, x):
    x = nn.relu(nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3), use_bias=False)(x)))
    x = nn.Conv(3, (3, 3), strides=2)(x) + nn.Conv(3, (1, 1), strides=2)(x)
    return nn.Dense(C)(nn.relu(x).mean((1, 2)))


@case(values.images)
def weight_standardized_convolution(net, x):
    def standardize(variables):
        kernel = variables["params"]["kernel"]
        centered = kernel - kernel.mean((0, 1, 2))
        kernel = centered / jnp.sqrt(jnp.square(centered).mean((0, 1, 2)) + 1e-3)
        return {"params": {**variables["params"], "kernel": kernel}}

    standardized = nn.map_variables(
        nn.Conv, "params", standardize, init=net.is_initializing(), mutable=True
    )
    return head(nn.GroupNorm(2)(standardized(4, (3, 3))(x)))


# Normalization


@case(values.images)
def every_normalization(net, x):
    x = nn.BatchNorm(use_running_average=True)(nn.Conv(4, (2, 2), strides=2)(x))
    x = nn.tanh(nn.GroupNorm(2)(x)) + nn.tanh(nn.InstanceNorm()(x))
    return head(nn.RMSNorm()(nn.LayerNorm()(flat(x))))


@case(values.vectors)
def weight_normalization(net, x):
    x = nn.tanh(nn.WeightNorm(nn.Dense(D))(x))
    return nn.WeightNorm(nn.Dense(C), variable_filter={"kernel", "bias"}, feature_axes=None)(x)


@case(values.images)
def spectral_normalization(net, x):
    x = nn.tanh(nn.SpectralNorm(nn.Conv(3, (3, 3)))(x, update_stats=False))
    return nn.SpectralNorm(nn.Dense(C))(flat(x), update_stats=False)


# Dense layers


@case(values.sequences)
def dense_over_the_middle_axis(net, x):
    x = nn.tanh(nn.DenseGeneral(4, axis=1)(x))
    return nn.DenseGeneral(C, axis=(-1, 1))(x)


@case(values.sequences)
def einsum_with_weights_for_each_step(net, x):
    x = nn.Einsum((T, D, 2, 3), "btd,tdij->btij")(x)
    return head(nn.Einsum((2, 3, 4), "btij,ijk->btik")(nn.tanh(x)))


def sequential_with_a_list():
    layers = [nn.Conv(2, (3, 3)), nn.PReLU(), flat, nn.Dense(D), nn.relu, nn.Dense(C)]
    return build(nn.Sequential(layers), values.images())


CASES["sequential_with_a_list"] = sequential_with_a_list


def scaled_dot_general(lhs, rhs, dimension_numbers, precision=None, preferred_element_type=None):
    """Each operand is divided by its own largest entry and the product multiplied by both."""
    del preferred_element_type
    sizes = [jax.lax.stop_gradient(jnp.abs(a).max()) for a in (lhs, rhs)]
    y = jax.lax.dot_general(lhs / sizes[0], rhs / sizes[1], dimension_numbers, precision)
    return 2 * y * sizes[0] * sizes[1]


def quantized_dot_general(lhs, rhs, dimension_numbers, precision=None, preferred_element_type=None):
    """Products of operands rounded to 1/8, whose gradients pass straight through the rounding."""
    del preferred_element_type
    lhs, rhs = (a + jax.lax.stop_gradient(jnp.round(8 * a) / 8 - a) for a in (lhs, rhs))
    return jax.lax.dot_general(lhs, rhs, dimension_numbers, precision)


@case(values.vectors)
def dense_with_a_scaled_product(net, x):
    x = nn.tanh(nn.Dense(D, dot_general=scaled_dot_general)(x[:, None]))[:, 0]
    return nn.Dense(C)(x)


@case(values.sequences)
def dense_with_a_quantized_product(net, x):
    x = nn.tanh(nn.Dense(D, dot_general=quantized_dot_general)(x))
    return nn.Dense(C, dot_general=quantized_dot_general)(x[:, 0])


# Embeddings


@case(values.ids)
def tied_embeddings(net, x):
    embed = nn.Embed(VOCABULARY, D)
    return embed.attend(nn.tanh(nn.Dense(D)(embed(x)).mean(1)))


@case(lambda: values.ids()[:, 0])
def one_id_for_each_example(net, x):
    return nn.Dense(C)(nn.tanh(nn.Embed(VOCABULARY, D)(x)))


@case(values.sequences)
def embedding_of_a_single_row(net, x):
    row = nn.Embed(num_embeddings=1, features=D)(jnp.zeros(x.shape[:2], int))
    return head(x * row)


# What hides a parameter, or shows two under one name


class Backbone(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(D)(nn.tanh(nn.Dense(D)(x))))


@case(values.vectors)
def frozen_backbone_with_the_same_names(net, x):
    """The Dense_0 of the backbone has the shape of this network's own Dense_0."""
    shapes = jax.eval_shape(Backbone().init, jax.random.key(0), x)["params"]
    frozen = {"params": values.parameters(shapes, seed=5)}
    return nn.Dense(C)(nn.tanh(nn.Dense(D)(Backbone().apply(frozen, x))))


@case(values.vectors, output=lambda returned: returned["heads"][0])
def logits_inside_a_dict(net, x):
    x = nn.Dense(D)(x)
    return {"features": x, "heads": (nn.Dense(C)(nn.tanh(x)), nn.Dense(2)(x))}
