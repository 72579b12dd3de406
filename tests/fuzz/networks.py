"""Random networks: plain functions of parameters and inputs, composed of random blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@dataclasses.dataclass
class Builder:
    """Draws blocks and collects their parameters.

    A block is a function of all parameters and of the hidden state of a batch. ``shape`` is that of
    the state of one example.
    """

    rng: np.random.Generator
    shape: tuple[int, ...]
    params: list[np.ndarray] = dataclasses.field(default_factory=list)
    blocks: list[Callable] = dataclasses.field(default_factory=list)

    def weight(self, *shape, scale=None):
        """Adds a parameter and returns its position."""
        fan_in = max(1, int(np.prod(shape[:-1])))
        scale = 1.2 / np.sqrt(fan_in) if scale is None else scale
        self.params.append((scale * self.rng.normal(size=shape)).astype(np.float32))
        return len(self.params) - 1

    def add(self, block, shape):
        self.blocks.append(block)
        self.shape = tuple(shape)

    def pick(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def flip(self, probability=0.5):
        return self.rng.random() < probability


def smooth(b):
    """No ReLU: if its input is zero up to rounding, two programs may disagree on the gradient."""
    of = b.pick(jnp.tanh, jax.nn.silu, jax.nn.gelu, jax.nn.softplus)
    b.add(lambda p, h: of(h), b.shape)


def dense(b):
    width, bias = int(b.rng.integers(2, 7)), b.flip()
    w = b.weight(b.shape[-1], width)
    offset = b.weight(width, scale=0.3) if bias else None
    how = b.pick("matmul", "einsum", "transposed", "normalized")
    if how == "transposed":
        b.params[w] = np.ascontiguousarray(b.params[w].T)

    def block(p, h):
        matrix = p[w]
        if how == "transposed":
            matrix = matrix.T
        if how == "normalized":
            matrix = matrix / jnp.linalg.norm(matrix, axis=0)
        out = jnp.einsum("...i,ij->...j", h, matrix) if how == "einsum" else h @ matrix
        return out if offset is None else out + p[offset]

    b.add(block, (*b.shape[:-1], width))


def tied(b):
    """h W Wᵀ: one parameter in two layers."""
    w = b.weight(b.shape[-1], int(b.rng.integers(2, 6)))
    b.add(lambda p, h: jnp.tanh(h @ p[w]) @ p[w].T, b.shape)


def shared(b):
    """One layer, applied twice."""
    w = b.weight(b.shape[-1], b.shape[-1])
    b.add(lambda p, h: jnp.tanh(jnp.tanh(h @ p[w]) @ p[w]), b.shape)


def gate(b):
    w, v = (b.weight(b.shape[-1], b.shape[-1]) for _ in range(2))
    b.add(lambda p, h: jax.nn.sigmoid(h @ p[w]) * (h @ p[v]), b.shape)


def residual(b):
    w = b.weight(b.shape[-1], b.shape[-1])
    b.add(lambda p, h: h + jnp.tanh(h @ p[w]), b.shape)


def scale(b):
    """A scale and an offset for each feature, for all, or at each position."""
    shape = b.pick(b.shape[-1:], (), b.shape)
    s, o = b.weight(*shape, scale=1.0), b.weight(*shape, scale=0.3)
    b.add(lambda p, h: h * p[s] + p[o], b.shape)


def norm(b):
    s, o = b.weight(b.shape[-1], scale=1.0), b.weight(b.shape[-1], scale=0.3)
    axes = b.pick((-1,), tuple(range(-len(b.shape), 0)))

    def block(p, h):
        centered = h - h.mean(axes, keepdims=True)
        return (
            centered / jnp.sqrt(jnp.square(centered).mean(axes, keepdims=True) + 0.1) * p[s] + p[o]
        )

    b.add(block, b.shape)


def attention(b):
    d, k = b.shape[-1], int(b.rng.integers(2, 5))
    q, w, v = b.weight(d, k), b.weight(d, k), b.weight(d, d)

    def block(p, h):
        scores = jnp.einsum("nik,njk->nij", h @ p[q], h @ p[w]) / np.sqrt(k)
        return h + jax.nn.softmax(scores) @ (h @ p[v])

    b.add(block, b.shape)


def recurrence(b):
    w, u = b.weight(b.shape[-1], 4), b.weight(4, 4)

    def block(p, h):
        def step(state, x):
            state = jnp.tanh(x @ p[w] + state @ p[u])
            return state, state

        start = jnp.zeros((len(h), 4), h.dtype)
        return lax.scan(step, start, h.swapaxes(0, 1))[1].swapaxes(0, 1)

    b.add(block, (b.shape[0], 4))


def causal(b):
    """A one-dimensional convolution that sees only earlier steps."""
    size, dilation = int(b.rng.integers(2, 4)), int(b.rng.integers(1, 3))
    width = int(b.rng.integers(2, 5))
    w = b.weight(size, b.shape[-1], width)
    padding = [((size - 1) * dilation, 0)]
    names = ("NTC", "TIO", "NTC")

    def block(p, h):
        return lax.conv_general_dilated(
            h, p[w], (1,), padding, rhs_dilation=(dilation,), dimension_numbers=names
        )

    b.add(block, (b.shape[0], width))


def convolution(b):
    channels = b.shape[-1]
    groups = 2 if channels % 2 == 0 and b.flip(0.3) else 1
    kernel = [int(b.rng.integers(1, 4)) for _ in range(2)]
    stride = [int(b.rng.integers(1, 3)) for _ in range(2)]
    dilation = [int(b.rng.integers(1, 3)) for _ in range(2)]
    padding = b.pick("SAME", [tuple(map(int, b.rng.integers(1, 4, 2))) for _ in range(2)])
    out = 2 * int(b.rng.integers(1, 3))
    w = b.weight(*kernel, channels // groups, out)
    offset = b.weight(out, scale=0.3) if b.flip() else None

    def block(p, h):
        h = lax.conv_general_dilated(
            h,
            p[w],
            stride,
            padding,
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        return h if offset is None else h + p[offset]

    spec = jax.ShapeDtypeStruct((1, *b.shape), jnp.float32)
    shape = jax.eval_shape(lambda h: block([jnp.asarray(a) for a in b.params], h), spec).shape[1:]
    if 0 not in shape:
        b.add(block, shape)


def transposed_convolution(b):
    w = b.weight(2, 2, b.shape[-1], 2)
    b.add(
        lambda p, h: lax.conv_transpose(
            h, p[w], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        (2 * b.shape[0], 2 * b.shape[1], 2),
    )


def pool(b):
    b.add(
        lambda p, h: lax.reduce_window(h, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "SAME") / 4,
        b.shape,
    )


ANY = (dense, dense, smooth, tied, shared, gate, residual, scale, norm)
KINDS = {
    1: ANY,
    2: (*ANY, attention, recurrence, causal, causal),
    3: (*ANY, convolution, convolution, convolution, transposed_convolution, pool),
}
"""The blocks for a vector, a sequence and an image, by the number of axes of an example."""


def random_network(rng, num_outputs):
    """Draws a network.

    Returns:
      A function of parameters and inputs, the parameters, and the shape of an example; for a
      sequence of tokens it is a pair of that shape and the number of different tokens.
    """
    axes = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(2, 6, axes))
    builder = Builder(rng, shape)
    tokens = None
    if axes == 2 and rng.random() < 0.3:
        tokens = 7
        table = builder.weight(tokens, shape[-1], scale=1.0)
        builder.add(lambda p, x: p[table][x], shape)
    for _ in range(int(rng.integers(1, 5))):
        kinds = KINDS[axes]
        kinds[rng.integers(len(kinds))](builder)
    head = rng.integers(3)  # all positions, their mean, or outputs that are not linear

    def features(h):
        if head == 1 and h.ndim > 2:
            return h.mean(tuple(range(1, h.ndim - 1)))
        return h.reshape(len(h), -1)

    size = int(np.prod(builder.shape)) if head != 1 or axes == 1 else builder.shape[-1]
    last = builder.weight(size, num_outputs)
    offset = builder.weight(num_outputs, scale=0.3) if rng.random() < 0.7 else None

    def apply(p, x):
        h = x
        for block in builder.blocks:
            h = block(p, h)
        out = features(h) @ p[last]
        out = out if offset is None else out + p[offset]
        return jnp.tanh(out) if head == 2 else out

    return apply, builder.params, (shape if tokens is None else (shape[:1], tokens))


def random_inputs(rng, shape, num):
    """Draws inputs ``[num, ...]``, of which one may be a copy of another."""
    if isinstance(shape[0], tuple):
        x = rng.integers(0, shape[1], (num, *shape[0])).astype(np.int32)
    else:
        x = rng.normal(size=(num, *shape)).astype(np.float32)
    if num > 2 and rng.random() < 0.3:
        x[-1] = x[0]
    return x
