"""Networks that are functions of ``(params, x)`` and need no library of layers."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ntk_al import Network
from tests.kernels.empirical.exactness import random_values as values
from tests.kernels.empirical.exactness.random_values import VOCABULARY, C, D, N, T

CASES = {}
"""Name -> function that returns a network and its inputs."""


def case(inputs, output=None, **shapes):
    """Registers ``apply(params, x) -> logits``; ``params`` has entries of these shapes."""

    def named(apply):
        CASES[apply.__name__] = lambda: build(apply, inputs, output, shapes)
        return apply

    return named


def build(apply, inputs, output, shapes):
    leaves = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    return Network.from_function(apply, values.parameters(leaves), output=output), inputs()


def flat(x):
    return x.reshape(len(x), -1)


# Attention


def attention(q, k, v, bias=0.0):
    """softmax(q kᵀ / √d) v for ``[..., T, d]``."""
    scores = jnp.einsum("...td,...sd->...ts", q, k) / np.sqrt(q.shape[-1])
    return jax.nn.softmax(scores + bias) @ v


@case(values.sequences, qkv=(D, 3 * D), head=(D, C))
def fused_projections_split_as_outputs(p, x):
    q, k, v = jnp.split(x @ p["qkv"], 3, axis=-1)
    return attention(q, k, v).mean(1) @ p["head"]


@case(values.sequences, qkv=(D, 3 * D), head=(D, C))
def fused_projections_split_as_weights(p, x):
    q, k, v = (x @ p["qkv"][:, i * D : (i + 1) * D] for i in range(3))
    return attention(q, k, v).mean(1) @ p["head"]


@case(values.sequences, heads=(2, 3, D, 4), head=(2, 4, C))
def attention_vmapped_over_stacked_heads(p, x):
    heads = jax.vmap(lambda w, x: attention(*(x @ w_i for w_i in w)), in_axes=(0, None))
    return jnp.einsum("hbtd,hdc->bc", heads(p["heads"], x), p["head"])


@case(values.sequences, table=(2 * T - 1, 2), q=(D, 2, 4), k=(D, 2, 4), head=(2, D, C))
def attention_with_relative_positions(p, x):
    offsets = np.arange(T)[:, None] - np.arange(T) + T - 1
    bias = jnp.moveaxis(p["table"][offsets], -1, 0)
    q, k = (jnp.einsum("btd,dhk->bhtk", x, p[name]) for name in "qk")
    return jnp.einsum("bhtd,hdc->bc", attention(q, k, x[:, None], bias), p["head"])


@case(values.sequences, positions=(T, D), w=(D, D), prompt=(2, D), head=(D, C))
def projected_positions_and_a_prompt(p, x):
    """Rows that no example owns pass the same layer as the examples' rows."""
    x = jnp.tanh(x @ p["w"] + p["positions"] @ p["w"])
    prompt = jnp.broadcast_to(p["prompt"], (len(x), 2, D))
    x = jnp.concatenate([prompt, x], axis=1) @ p["w"]
    return jnp.tanh(x).mean(1) @ p["head"]


@case(values.sequences, token=(D,), w=(D, D), head=(D, C))
def token_in_the_place_of_masked_ones(p, x):
    x = jnp.where((x[..., :1] > 0.5), p["token"], x)
    return jnp.tanh(x @ p["w"]).sum(1) @ p["head"]


@dataclasses.dataclass
class ModelOutput:
    logits: jax.Array
    hidden_states: tuple


@case(
    values.masked_ids,
    lambda returned: returned.logits,
    embed=(VOCABULARY, D),
    qkv=(3, D, D),
    head=(D, C),
)
def language_model_that_returns_an_object(p, x):
    h = p["embed"][x["ids"]]
    bias = jnp.where(x["mask"], 0.0, -1e9).astype(h.dtype)[:, None]
    h = h + attention(*(h @ w for w in p["qkv"]), bias)
    return ModelOutput(logits=h[:, 0] @ p["head"], hidden_states=(h,))


# Products of a weight and an activation, written in every way

PRODUCTS = {
    "transposed_weight": ((4, D), lambda w, x: x @ w.T),
    "einsum_of_rows": ((4, D), lambda w, x: jnp.einsum("btd,kd->btk", x, w)),
    "weight_on_the_left": ((4, D), lambda w, x: jnp.swapaxes(w @ jnp.swapaxes(x, 1, 2), 1, 2)),
    "einsum_weight_first": ((4, D), lambda w, x: jnp.einsum("kd,btd->btk", w, x)),
    "steps_as_rows": ((D, 4), lambda w, x: (x.reshape(-1, D) @ w).reshape(len(x), T, 4)),
    "over_steps": ((4, T), lambda w, x: jnp.einsum("st,btd->bsd", w, x)),
    "own_weight_for_each_step": ((T, D, 4), lambda w, x: jnp.einsum("btd,tdk->btk", x, w)),
    "own_copy_for_each_example": (
        (D, 4),
        lambda w, x: jnp.einsum("btd,bdk->btk", x, jnp.broadcast_to(w, (len(x), *w.shape))),
    ),
    "rows_in_another_order": (
        (D, 4),
        lambda w, x: x @ w[np.arange(D) ^ 1] + x @ jnp.roll(w[::-1], 3, axis=0),
    ),
    "over_two_axes": ((4, D, T), lambda w, x: jnp.tensordot(x, w, axes=((1, 2), (2, 1)))),
    "vmapped_over_rows": ((4, D), lambda w, x: jax.vmap(jax.vmap(lambda row: w @ row))(x)),
    "mapped_over_examples": ((D, 4), lambda w, x: lax.map(lambda example: example @ w, x)),
    "sum_of_products": ((D, 4), lambda w, x: (x[..., None] * w).sum(-2)),
    "in_halves": ((D, 4), lambda w, x: x[..., :3] @ w[:3] + x[..., 3:] @ w[3:]),
    "batch_last": ((4, D), lambda w, x: jnp.einsum("kd,dtb->btk", w, x.T)),
    "complex": ((D, 4), lambda w, x: (x @ w.astype(complex)).real),
    "inner_product": ((D,), lambda w, x: jnp.tanh(x @ w)),
}


def product(multiply, p, x):
    return flat(jnp.tanh(multiply(p["w"], jnp.tanh(x)))) @ p["head"]


def build_product(shape, multiply):
    x = values.sequences()
    rows = jax.eval_shape(multiply, jax.ShapeDtypeStruct(shape, x.dtype), x)
    size = rows.size // N
    shapes = {"w": shape, "head": (size, C)}
    return build(functools.partial(product, multiply), values.sequences, None, shapes)


for _name, (_shape, _multiply) in PRODUCTS.items():
    CASES[f"product_{_name}"] = functools.partial(build_product, _shape, _multiply)


# Weights made of parameters


@case(values.vectors, a=(D, 3), b=(D, 5), head=(D, C))
def two_parameters_joined_to_one_weight(p, x):
    return jnp.tanh(x @ jnp.concatenate([p["a"], p["b"]], axis=1)) @ p["head"]


@case(values.vectors, a=(D, D), b=(D, D), head=(D, C))
def entries_selected_from_two_parameters(p, x):
    mask = np.arange(D * D).reshape(D, D) % 3 > 0
    return jnp.tanh(x @ jnp.where(mask, p["a"], p["b"])) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def weight_times_its_own_transpose(p, x):
    return jnp.tanh(x @ (p["w"] @ p["w"].T)) @ p["head"]


@case(values.vectors, w=(D * 4,), head=(2, 2, C))
def reshaped_parameters(p, x):
    h = jnp.tanh(x @ p["w"].reshape(4, D).T)
    return h @ p["head"].reshape(4, C)


@case(values.vectors, a=(2, 2), b=(4, 2), head=(4, C))
def kronecker_product(p, x):
    return jnp.tanh(x @ jnp.kron(p["a"], p["b"])) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def masked_weight(p, x):
    """An autoregressive layer (MADE): output i sees the inputs before i."""
    mask = np.triu(np.ones((D, D), np.float32), 1)
    return jnp.tanh(x @ (p["w"] * mask)) @ p["head"]


@case(values.vectors, a=(D, 2), b=(2, D), head=(D, C))
def low_rank_update_of_a_frozen_weight(p, x):
    frozen = values.normal(D, D, seed=3)
    return jnp.tanh(x @ frozen + x @ (p["a"] @ p["b"])) @ p["head"]


@case(values.vectors, w=(D, D), a=(D, 2), b=(2, D), head=(D, C))
def low_rank_update_factor_by_factor(p, x):
    return jnp.tanh(x @ lax.stop_gradient(p["w"]) + 0.5 * (x @ p["a"] @ p["b"])) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def cayley_transform(p, x):
    skew, eye = p["w"] - p["w"].T, jnp.eye(D, dtype=x.dtype)
    return jnp.tanh(x @ jnp.linalg.solve(eye + skew, eye - skew)) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def matrix_exponential(p, x):
    """The sum of w^i / i! in a loop that carries the power and the sum."""

    def step(i, carry):
        power, total = carry
        power = power @ p["w"] / i
        return power, total + power

    eye = jnp.eye(D, dtype=x.dtype)
    return jnp.tanh(x @ lax.fori_loop(1, 6, step, (eye, eye))[1]) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def triangular_solve(p, x):
    covariance = p["w"] @ p["w"].T + jnp.eye(D, dtype=x.dtype)
    factor = jnp.linalg.cholesky(covariance)
    return jax.scipy.linalg.solve_triangular(factor, x.T, lower=True).T @ p["head"]


@case(values.vectors, code=(3,), h=(3, D * D), head=(D, C))
def weight_made_from_a_learned_code(p, x):
    return jnp.tanh(x @ jnp.tanh(p["code"] @ p["h"]).reshape(D, D)) @ p["head"]


@case(values.vectors, scale=(), shift=(), w=(D, C))
def scalar_parameters(p, x):
    return jnp.exp(p["scale"]) * (jnp.tanh(x) @ p["w"]) + p["shift"]


# One parameter in several places


@case(values.vectors, w=(D, D), b=(D,), head=(D, C))
def autoencoder_with_one_weight_in_two_layouts(p, x):
    h = jnp.tanh(x @ p["w"] + p["b"])
    return jnp.tanh(h @ p["w"].T + p["b"]) @ p["head"]


@case(values.vectors, w=(D, D))
def every_use_of_one_parameter(p, x):
    w = p["w"]
    return (jnp.tanh(x @ w) * w[0] + jnp.tanh(w @ x.T).T + w.mean() * x**2)[:, :C]


@case(values.images, w=(1, 1, 2, 4), head=(4, C))
def convolution_kernel_as_a_dense_weight(p, x):
    h = convolve(x, p["w"]).mean((1, 2)) + jnp.tanh(x.mean((1, 2)) @ p["w"][0, 0])
    return jnp.tanh(h) @ p["head"]


@case(values.images, w=(3, 3, 2, 2), head=(8, C))
def convolution_with_a_kernel_turned_four_ways(p, x):
    turned = [convolve(x, jnp.rot90(p["w"], turns)) for turns in range(4)]
    return jnp.tanh(jnp.concatenate(turned, axis=-1)).max((1, 2)) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def gradient_stopped_in_one_of_two_uses(p, x):
    h = jnp.tanh(x @ p["w"])
    return (h + jnp.tanh(h @ lax.stop_gradient(p["w"]))) @ p["head"]


@case(values.vectors, w=(D, D), v=(D, D), head=(D, C))
def gradient_stopped_on_one_branch(p, x):
    target = lax.stop_gradient(jnp.tanh(x @ p["w"] @ p["v"]))
    return (jnp.tanh(x @ p["v"]) * target) @ p["head"]


@case(values.vectors, w=(D, D), b=(D,), head=(D, C))
def gradient_inside_the_network(p, x):
    """A step along the gradient of an energy, so that W and Wᵀ are both in the program."""

    def energy(x):
        return jnp.log(jnp.cosh(x @ p["w"] + p["b"])).sum()

    return jnp.tanh(x - jax.grad(energy)(x)) @ p["head"]


# Products of two activations


@case(values.vectors, w=(C, D, D))
def bilinear_form(p, x):
    return jnp.einsum("bi,kij,bj->bk", x, p["w"], jnp.tanh(x))


@case(values.sequences, make=(D, D * 4), head=(4, C))
def weights_made_from_the_input(p, x):
    made = jnp.tanh(x[:, 0] @ p["make"]).reshape(-1, D, 4)
    return jnp.tanh(jnp.einsum("btd,bdk->btk", x, made)).mean(1) @ p["head"]


@case(values.images, make=(72, 3 * 3 * 2 * 2), head=(72, C))
def filters_made_from_the_input(p, x):
    filters = jnp.tanh(flat(x) @ p["make"]).reshape(-1, 3, 3, 2, 2)
    filtered = jax.vmap(lambda x, w: convolve(x[None], w)[0])(x, filters)
    return jnp.tanh(flat(filtered)) @ p["head"]


@case(values.vectors, experts=(3, D, D), gate=(D, 3), head=(D, C))
def soft_mixture_of_experts(p, x):
    gate = jax.nn.softmax(x @ p["gate"])
    return jnp.einsum("be,bek->bk", gate, experts_of(p, x)) @ p["head"]


@case(values.vectors, experts=(3, D, D), gate=(D, 3), head=(D, C))
def mixture_that_dispatches_to_one_expert(p, x):
    gate = jax.nn.softmax(x @ p["gate"])
    dispatch = jax.nn.one_hot(gate.argmax(-1), 3, dtype=x.dtype)
    x = jnp.einsum("be,bd->ebd", dispatch, x)
    y = jnp.tanh(jnp.einsum("ebd,edk->ebk", x, p["experts"]))
    return jnp.einsum("be,ebk->bk", gate * dispatch, y) @ p["head"]


@case(values.vectors, experts=(3, D, D), gate=(D, 3), head=(D, C))
def mixture_that_gathers_the_weights_of_two_experts(p, x):
    gates, chosen = lax.top_k(jax.nn.softmax(x @ p["gate"]), 2)
    y = jnp.tanh(jnp.einsum("bd,bedk->bek", x, p["experts"][chosen]))
    return jnp.einsum("be,bek->bk", gates, y) @ p["head"]


def experts_of(p, x):
    return jnp.tanh(jnp.einsum("bd,edk->bek", x, p["experts"]))


# Convolutions


def convolve(x, w, strides=(1, 1), padding="SAME", **options):
    """A convolution of images ``[N, H, W, C]`` with a kernel ``[h, w, C, C']``."""
    return lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


@case(values.images, w=(2, 4, 3, 3), head=(4, C))
def channels_first_convolution(p, x):
    y = lax.conv(jnp.moveaxis(x, -1, 1), p["w"].swapaxes(0, 1), (2, 1), "SAME")
    return jnp.tanh(y).mean((2, 3)) @ p["head"]


@case(values.images, w=(3, 3, 2, 3), head=(3, C))
def convolution_of_dilated_inputs(p, x):
    y = convolve(x, p["w"], padding=((1, 2), (2, -1)), lhs_dilation=(2, 2), rhs_dilation=(1, 2))
    return jnp.tanh(y).mean((1, 2)) @ p["head"]


@case(values.images, w=(3, 3, 1, 4), v=(2, 2, 2, 4), head=(4, C))
def grouped_then_transposed_convolution(p, x):
    x = jnp.tanh(convolve(x, p["w"], (2, 2), "VALID", feature_group_count=2))
    x = lax.conv_transpose(x[..., :2], p["v"], (2, 2), "SAME") * x[:, :1, :1]
    return jnp.tanh(x).mean((1, 2)) @ p["head"]


@case(values.images, w=(2, 3, 3, 2, 2), head=(2, 2, C))
def convolution_vmapped_over_stacked_kernels(p, x):
    y = jax.vmap(convolve, in_axes=(None, 0))(x, p["w"])
    return jnp.einsum("kbhwc,kcd->bd", jnp.tanh(y), p["head"])


@case(values.vectors, filter=(3,), head=(D, C))
def filter_of_signals(p, x):
    filtered = jax.vmap(lambda signal: jnp.convolve(signal, p["filter"], mode="same"))(x)
    return jnp.tanh(filtered) @ p["head"]


@case(values.images, w=(2 * 9, 4), head=(4, C))
def convolution_as_patches_times_a_matrix(p, x):
    patches = lax.conv_general_dilated_patches(
        x, (3, 3), (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(patches @ p["w"]).mean((1, 2)) @ p["head"]


@case(values.images, w=(1, 6, 6, 2), head=(25, C))
def parameter_as_the_image_and_input_as_the_kernel(p, x):
    """Each example filters one learned image."""
    w = lax.pad(p["w"], jnp.zeros((), x.dtype), ((0, 0, 0), (2, 2, 0), (2, 2, 0), (0, 0, 0)))
    y = convolve(w, jnp.moveaxis(x, 0, -1), padding="VALID")
    return jnp.tanh(flat(jnp.moveaxis(y, -1, 0))) @ p["head"]


@case(lambda: np.random.default_rng(0).integers(0, 256, (N, 6, 6, 2)).astype(np.uint8),
      w=(3, 3, 2, 4), scale=(4,), shift=(4,), head=(36, C))  # fmt: skip
def images_of_bytes_and_batch_normalization(p, x):
    x = convolve((x / 255).astype(p["w"].dtype), p["w"])
    x = (x - 0.1) / np.float32(0.7) * p["scale"] + p["shift"]
    pooled = lax.reduce_window(jax.nn.relu(x), -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")
    return flat(pooled) @ p["head"]


@case(values.sequences, real=(3, D), imaginary=(3, D), w=(3, D, D), v=(3, D, D), head=(D, C))
def fourier_layers(p, x):
    """One multiplies each frequency by a complex number, and one by a complex matrix."""
    f = jnp.fft.rfft(x, axis=1) * lax.complex(p["real"], p["imaginary"])
    x = jnp.tanh(jnp.fft.irfft(f, T, axis=1))
    f = jnp.einsum("bfd,fdk->bfk", jnp.fft.rfft(x, axis=1), lax.complex(p["w"], p["v"]))
    return jnp.tanh(jnp.fft.irfft(f, T, axis=1)).mean(1) @ p["head"]


# Loops


@case(values.long_sequences, w=(2, D), u=(D, D), b=(D,), head=(D, C))
def long_scan_with_closed_over_parameters(p, x):
    def step(h, x_t):
        return jnp.tanh(x_t @ p["w"] + 0.5 * (h @ p["u"]) + p["b"]), None

    zeros = jnp.zeros((len(x), D), x.dtype)
    return lax.scan(step, zeros, x.swapaxes(0, 1))[0] @ p["head"]


@case(values.sequences, w=(D, D), first=(D,), head=(T, D, C))
def scan_in_reverse_from_a_learned_state(p, x):
    def step(h, x_t):
        h = jnp.tanh(x_t + h @ p["w"])
        return h, h * p["first"]

    first = jnp.broadcast_to(p["first"], (len(x), D))
    _, states = lax.scan(step, first, x.swapaxes(0, 1), reverse=True)
    return jnp.einsum("tbd,tdc->bc", states, p["head"])


@case(values.vectors, w=(3, D, D), b=(3, D), head=(D, C))
def scan_over_stacked_layers(p, x):
    def layer(x, parameters):
        return jnp.tanh(x @ parameters["w"] + parameters["b"]), None

    return lax.scan(layer, x, {"w": p["w"], "b": p["b"]})[0] @ p["head"]


@case(values.sequences, v=(D, D), head=(D, C))
def normalized_weight_inside_and_outside_a_scan(p, x):
    w = p["v"] / jnp.linalg.norm(p["v"], axis=0)

    def step(h, x_t):
        return jnp.tanh(x_t @ w + h), None

    h, _ = lax.scan(step, jnp.zeros_like(x[:, 0]), x.swapaxes(0, 1))
    return jnp.tanh(h @ w) @ p["head"]


@case(values.sequences, w=(D, D), v=(D, D), head=(D, C))
def branch_inside_a_scan(p, x):
    def step(h, inputs):
        t, x_t = inputs
        h = lax.cond(t % 2 == 0, lambda h: h @ p["w"], lambda h: jnp.sin(h @ p["v"]), h)
        return jnp.tanh(x_t + h), None

    steps = np.arange(T), x.swapaxes(0, 1)
    return lax.scan(step, jnp.zeros_like(x[:, 0]), steps)[0] @ p["head"]


@case(values.sequences, outer=(2, D, D), inner=(D, D), head=(D, C))
def scan_inside_a_scan(p, x):
    def layer(x, w):
        def step(h, x_t):
            h = jnp.tanh(x_t @ w + h @ p["inner"])
            return h, h

        return lax.scan(step, jnp.zeros_like(x[0]), x)[1], None

    return lax.scan(layer, x.swapaxes(0, 1), p["outer"])[0][-1] @ p["head"]


@case(values.videos, w=(3, 3, 2, 2), v=(3, 3, 2, 2), head=(2, C))
def convolution_in_a_scan(p, x):
    def step(h, x_t):
        return jnp.tanh(convolve(x_t, p["w"]) + convolve(h, p["v"])), None

    h, _ = lax.scan(step, jnp.zeros_like(x[:, 0]), x.swapaxes(0, 1))
    return h.mean((1, 2)) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def parameter_carried_through_a_loop(p, x):
    def step(_, carry):
        w, x = carry
        return 0.9 * w, jnp.tanh(x @ w)

    return lax.fori_loop(0, 3, step, (p["w"], x))[1] @ p["head"]


@case(values.vectors, w=(4, D, D), head=(D, C))
def loop_that_slices_stacked_parameters(p, x):
    def step(i, x):
        return jnp.tanh(x @ lax.dynamic_index_in_dim(p["w"], 3 - i, keepdims=False))

    return lax.fori_loop(1, 4, step, x) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def loop_whose_length_depends_on_the_example(p, x):
    """It only counts: no gradient enters it."""

    def halvings(size):
        return lax.while_loop(lambda s: s[0] > 0.5, lambda s: (s[0] / 2, s[1] + 1), (size, 0))[1]

    h = jnp.tanh(x @ p["w"])
    counts = jax.vmap(halvings)(lax.stop_gradient(jnp.square(h).sum(-1)))
    return (h * counts[:, None].astype(h.dtype)) @ p["head"]


@case(values.sequences, decay=(D,), w=(D, D), head=(D, C))
def linear_recurrence_as_an_associative_scan(p, x):
    def combine(left, right):
        return left[0] * right[0], left[1] * right[0] + right[1]

    inputs = x @ p["w"]
    decays = jnp.broadcast_to(jax.nn.sigmoid(p["decay"]), inputs.shape)
    return lax.associative_scan(combine, (decays, inputs), axis=1)[1][:, -1] @ p["head"]


# Branches


@case(values.vectors, w=(D, D), v=(D, D), gate=(), head=(D, C))
def branch_that_a_parameter_takes(p, x):
    h = lax.cond(
        p["gate"] > 0,
        lambda x: jnp.tanh(x @ p["w"]) @ p["v"] * p["gate"],
        lambda x: jnp.tanh(x @ p["v"]) @ p["w"],
        x,
    )
    return jnp.tanh(h) @ p["head"]


@case(values.vectors, w=(D, D), v=(D, D), head=(D, C))
def branch_that_each_example_takes(p, x):
    def branch(x):
        return lax.cond(x[0] > 0, lambda x: x @ p["w"], lambda x: jnp.sin(x @ p["v"]) @ p["w"], x)

    return jnp.tanh(jax.vmap(branch)(x)) @ p["head"]


@case(values.vectors, w=(3, D, D), head=(D, C))
def switch_that_each_example_takes(p, x):
    branches = [lambda x, w=w: jnp.tanh(x @ w) for w in p["w"]]
    chosen = jax.vmap(lambda x: lax.switch(jnp.argmax(x[:3]), branches, x))(x)
    return chosen @ p["head"]


# Functions with derivatives of their own, and nested programs


@jax.custom_vjp
def straight_through_sign(w, x):
    return jnp.sign(x @ w)


straight_through_sign.defvjp(
    lambda w, x: (jnp.sign(x @ w), (w, x)),
    lambda saved, g: (saved[1].T @ g, g @ saved[0].T),
)


@case(values.vectors, w=(D, D), head=(D, C))
def derivative_that_passes_straight_through(p, x):
    return (straight_through_sign(p["w"], x) + jnp.tanh(x @ p["w"])) @ p["head"]


@jax.custom_vjp
def bounded_gradient(x):
    return x


bounded_gradient.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -0.1, 0.1),))


@case(values.vectors, w=(D, D), head=(D, C))
def derivative_that_is_bounded(p, x):
    return jnp.tanh(bounded_gradient(x @ bounded_gradient(p["w"]))) @ p["head"]


@jax.custom_jvp
def doubled(w, x):
    return jnp.tanh(x @ w)


@doubled.defjvp
def _(primals, tangents):
    (w, x), (dw, dx) = primals, tangents
    y = doubled(w, x)
    return y, 2 * (1 - y**2) * (x @ dw + dx @ w)


@case(values.vectors, w=(D, D), v=(D, D), head=(D, C))
def derivative_that_is_doubled(p, x):
    return doubled(p["w"], doubled(p["v"], x)) @ p["head"]


@case(values.vectors, w=(D, D), head=(D, C))
def jit_inside_jit(p, x):
    @jax.jit
    def layer(w, x):
        return jax.jit(jnp.tanh)(x @ w)

    return jax.jit(lambda p, x: layer(p["w"], layer(p["w"], x)) @ p["head"])(p, x)


@case(values.vectors, w=(D, D), v=(D, D), head=(D, C))
def checkpoint_inside_checkpoint(p, x):
    @functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)
    def block(p, x):
        return jax.checkpoint(lambda x: jnp.tanh(x @ p["w"]))(x) @ p["v"]

    return jnp.tanh(block(p, block(p, x))) @ p["head"]


@case(values.vectors, w=(16, C), scale=(D,))
def random_features_drawn_inside(p, x):
    frequencies = jax.random.normal(jax.random.key(0), (D, 16), jnp.float32)
    return jnp.cos((x * p["scale"]) @ frequencies) @ p["w"]


# Tables and graphs


@case(lambda: values.ids() - 3, table=(4, D), head=(D, C))
def ids_out_of_range_clipped(p, x):
    return jnp.tanh(jnp.take(p["table"], x, axis=0, mode="clip").mean(1)) @ p["head"]


@case(lambda: values.ids() - 5, table=(4, D), head=(T * D, C))
def ids_out_of_range_indexed(p, x):
    """Negative ones count from the end, as in NumPy."""
    return jnp.tanh(flat(p["table"][x])) @ p["head"]


@case(lambda: values.ids() - 3, table=(4, D), head=(D, C))
def ids_out_of_range_dropped(p, x):
    rows = p["table"].at[jnp.where(x < 0, 4, x)].get(mode="fill", fill_value=0)
    return jnp.tanh(rows.mean(1)) @ p["head"]


@case(values.ids, one=(VOCABULARY, D), two=(VOCABULARY, D))
def tables_of_one_shape_and_a_tied_head(p, x):
    h = p["one"][x] * jnp.take(p["two"], x[:, ::-1], axis=0)
    return jnp.tanh(h.sum(1)) @ p["one"].T


@case(values.ids, table=(VOCABULARY, D), head=(D, C))
def table_as_a_product_with_one_hot_rows(p, x):
    one_hot = jax.nn.one_hot(x, VOCABULARY, dtype=p["table"].dtype)
    return jnp.tanh((one_hot @ p["table"]).sum(1)) @ p["head"]


def graphs():
    rng = np.random.default_rng(0)
    return {
        "nodes": values.normal(N, T, D),
        "edges": rng.integers(0, T, (2, N, 6)).swapaxes(0, 1).astype(np.int32),
    }


@case(graphs, w=(D, D), message=(D, D), head=(D, C))
def graph_network(p, x):
    def of_graph(nodes, edges):
        for _ in range(2):
            messages = jnp.tanh(nodes[edges[0]] @ p["message"])
            received = jax.ops.segment_sum(messages, edges[1], num_segments=T)
            nodes = jnp.tanh(nodes @ p["w"] + received)
        return nodes.mean(0)

    return jax.vmap(of_graph)(x["nodes"], x["edges"]) @ p["head"]


@case(values.images_and_tables, image=(72, D), table=(D, D), head=(D, C))
def image_and_table(p, x):
    image, table = x
    return jnp.tanh(flat(image) @ p["image"] + table @ p["table"]) @ p["head"]


# Parameters in containers of every kind


def unusual_container(p, x):
    """Layers in a list, a pair in a tuple, ``None``, integers, an empty array, one unused leaf."""
    for w, b in p["layers"]:
        x = jnp.tanh(x @ w + (0 if b is None else b))
    x = jnp.concatenate([x[:, p["order"]], x @ p["empty"]], axis=1)
    return p["head"][1]["scale"] * (x @ p["head"][0])


def build_unusual_container():
    shapes = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, np.float32),
        {
            "layers": [((D, D), (D,)), ((D, D), None)],
            "head": ((D, C), {"scale": ()}),
            "empty": (D, 0),
            "unused": (3, 2),
        },
        is_leaf=lambda node: isinstance(node, tuple) and all(isinstance(n, int) for n in node),
    )
    params = {**values.parameters(shapes), "order": np.arange(D, dtype=np.int32)[::-1].copy()}
    return Network.from_function(unusual_container, params), values.vectors()


CASES["unusual_container"] = build_unusual_container
