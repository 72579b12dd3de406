"""Every route of every layer rule against one gradient at a time."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_al import Network, models
from ntk_al._utils import compat
from ntk_al.kernels.empirical import capture, routes
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.survey import survey

EXACT = Product("float32", "cpu")
SMALL_WORKSPACE = 3000  # so that samples are taken in several batches


class OneLayer(nn.Module):
    """The layer in question, between nothing and a nonlinear head; called once or twice."""

    layer: nn.Module
    calls: int = 1

    @nn.compact
    def __call__(self, x):
        y = self.layer(x)
        for _ in range(self.calls - 1):
            y = self.layer(jnp.tanh(y))
        y = jnp.tanh(y).reshape(len(y), -1)
        return jnp.stack([y.sum(1), jnp.square(y).mean(1)], 1)


@st.composite
def convolutions(draw):
    """A convolution of one or two dimensions with any options, and inputs for it."""
    rank = draw(st.integers(1, 2))
    each = lambda values: tuple(draw(values) for _ in range(rank))  # noqa: E731
    groups, multiples = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]))
    padding = draw(
        st.one_of(
            st.sampled_from(["SAME", "VALID", "SAME_LOWER"]),
            st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * rank),
        )
    )
    layer = nn.Conv(
        features=groups * draw(st.integers(1, 3)),
        kernel_size=each(st.integers(1, 3)),
        strides=each(st.integers(1, 3)),
        kernel_dilation=each(st.integers(1, 2)),
        padding=padding,
        feature_group_count=groups,
        use_bias=draw(st.booleans()),
    )
    shape = (*each(st.integers(5, 7)), groups * multiples)
    return layer, shape


@settings(max_examples=6, deadline=None)
@given(convolutions(), st.sampled_from([np.float32, np.float64]))
def test_every_route_of_a_convolution_is_exact(convolution, dtype):
    layer, shape = convolution
    with compat.enable_x64(dtype == np.float64):
        x = np.random.default_rng(0).normal(size=(6, *shape)).astype(dtype)
        assert_routes_are_exact(OneLayer(layer), x, routes_of=("rows", "unfolded", "shifted"))


@settings(max_examples=3, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_every_route_of_a_dense_layer_is_exact(features, channels, positions, use_bias):
    shape = (channels,) if positions == 0 else (positions, 2, channels)
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    module = OneLayer(nn.Dense(features, use_bias=use_bias))
    assert_routes_are_exact(module, x, routes_of=("rows", "unfolded"))


@pytest.mark.quick
def test_every_route_of_an_embedding_is_exact():
    ids = np.random.default_rng(0).integers(0, 5, (6, 7))
    assert_routes_are_exact(
        OneLayer(nn.Embed(5, 3)), ids, routes_of=("rows", "unfolded", "matched")
    )


@pytest.mark.parametrize("layer", [nn.Dense(4), nn.Conv(4, (3,))])
def test_every_route_of_a_layer_that_is_called_twice_is_exact(layer):
    x = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    assert_routes_are_exact(OneLayer(layer, calls=2), x, routes_of=("rows", "unfolded"))


def test_bfloat16_layers_are_exact_up_to_their_own_rounding():
    x = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    module = OneLayer(nn.Conv(4, (3,), dtype=jnp.bfloat16))
    assert_routes_are_exact(module, x, routes_of=("rows", "unfolded", "shifted"), error=3e-2)


def assert_routes_are_exact(module, x, *, routes_of, error=None):
    variables = jax.jit(module.init)(jax.random.key(0, impl="rbg"), x)
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), variables)
    net = Network(module, wide)
    (layer,) = survey(net, x).layers
    expected = plain_rows(net, x, layer.parameter)
    record = jax.jit(lambda net, x: capture.capture(net, x, (layer,), (), "first_logit"))
    factors = record(net, x)
    factor = (factors.inputs[0], factors.gradients[0])
    first = jax.tree.map(lambda a: a[:4], factor)
    error = error or (1e-11 if expected.dtype == np.float64 else 1e-4)

    def assert_close(a, b):
        # Where a layer's part of the kernel is zero, only its own scale is left to compare with.
        scale = max(np.abs(b).max(), 1e-6)
        assert np.abs(np.asarray(a, np.float64) - b).max() <= error * scale

    theta = expected[:4] @ expected.T
    rows = jax.jit(lambda factor: routes.rows(layer, factor, EXACT, SMALL_WORKSPACE))(factor)
    assert_close(rows[:4] @ rows.T, theta)
    for name in set(routes_of) - {"rows"}:
        route = jax.jit(functools.partial(routes.PAIR_ROUTES[name], layer), static_argnums=(2, 3))
        assert_close(route(first, factor, EXACT, SMALL_WORKSPACE), theta)
    if len(layer.rules) == 1:
        windows = range(layer.rules[0].num_windows)
        channels = layer.num_channels
        part_of_rows = jax.jit(
            lambda window, column: routes.window_rows(layer, factor, window, column, 1, EXACT)
        )
        parts = [part_of_rows(window, column) for window in windows for column in range(channels)]
        assert_close(sum(part[:4] @ part.T for part in parts), theta)


def plain_rows(net, x, number):
    """∂g/∂W of each sample by itself, for the parameter of that number."""

    @jax.jit
    def gradient(example):
        full = jax.grad(lambda p: net.with_params(p).readout(example[None])[0])(net.params)
        return jnp.ravel(jax.tree.leaves(full)[number])

    return np.stack([gradient(example) for example in x])


@pytest.mark.quick
def test_the_cheapest_route_of_resnet18_follows_the_operation_counts():
    module = models.build("resnet18", 10)
    x = jnp.zeros((1, 32, 32, 3))
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    found = survey(Network(module, variables), x)
    layers, leaves = found.layers, found.leaves
    chosen = {layer.name: routes.cheapest(layer) for layer in layers}
    shifted = {name for name, route in chosen.items() if route == "shifted"}
    assert shifted == {f"Conv_{i}/kernel" for i in (16, 18, 19)}  # 3x3 at 4x4 pixels
    assert {name for name, route in chosen.items() if route == "rows"} >= {
        f"Conv_{i}/kernel" for i in range(15)
    }
    total = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    direct = sum(leaf.size for leaf in leaves)
    assert total == direct + sum(layer.num_parameters for layer in layers)
    assert direct < 0.001 * total


def only_layer(module, x):
    variables = module.init(jax.random.key(0), x)
    (layer,) = survey(Network(module, variables), x).layers
    return layer


# In the order of the operations that the routes need for a pair of samples, by hand.
@pytest.mark.parametrize(
    ("layer", "shape", "cheapest"),
    [
        (nn.Embed(50, 3), (2,), "matched"),  # 4 (2·3 + 32) = 152; rows 2·50·3 = 300
        (nn.Embed(50, 3), (7,), "rows"),  # 300; matched 49 (2·3 + 32) = 1862
        (nn.Conv(64, (3, 3)), (4, 4, 4), "rows"),  # 2·36·64 = 4608; shifted 116 736
        (nn.Conv(64, (3, 3)), (4, 4, 600), "shifted"),  # 421 888; rows 691 200
        (nn.Dense(10), (500,), "unfolded"),  # 2 (500 + 10) + 32 = 1052; rows 2·500·10
        (nn.Dense(10), (4, 30), "rows"),  # 2·30·10 = 600; unfolded 16 (2·40 + 32) = 1792
    ],
)
@pytest.mark.quick
def test_the_cheapest_route_has_the_fewest_operations(layer, shape, cheapest):
    kind = np.int32 if isinstance(layer, nn.Embed) else np.float32
    assert routes.cheapest(only_layer(OneLayer(layer), np.ones((1, *shape), kind))) == cheapest


@pytest.mark.parametrize(
    ("route", "layer", "shape"),
    [
        ("unfolded", nn.Conv(8, (3, 3)), (6, 6, 4)),
        ("shifted", nn.Conv(8, (3, 3)), (6, 6, 4)),
        ("shifted", nn.Conv(8, (3, 3), strides=(2, 2)), (8, 8, 4)),
        ("matched", nn.Embed(50, 3), (30,)),
    ],
)
def test_a_pair_route_stays_within_its_workspace(route, layer, shape):
    num, workspace = 48, 2**21
    kind = np.int32 if isinstance(layer, nn.Embed) else np.float32
    layer = only_layer(OneLayer(layer), np.ones((1, *shape), kind))
    arrays = [
        tuple(jax.ShapeDtypeStruct((num, *a.shape), a.dtype) for a in side)
        for side in (layer.inputs, layer.outputs)
    ]

    def temporaries(workspace):
        product = jax.jit(
            lambda one, two: routes.PAIR_ROUTES[route](layer, one, two, EXACT, workspace)
        )
        compiled = product.lower(tuple(arrays), tuple(arrays)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    matrices = num**2 * routes.pair_bytes(layer, route)
    assert temporaries(2**40) < 1.2 * matrices
    if route != "unfolded":  # of which XLA fuses some
        assert temporaries(2**40) > 0.2 * matrices
    assert temporaries(workspace) < 2 * workspace < 0.5 * matrices
