"""Each way in predicts what the library itself predicts, and keeps the user's own parameters."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core import freeze

from ntk_al import Network, kernels
from tests import helpers
from tests.network import libraries

pytestmark = pytest.mark.quick
X = libraries.inputs()


@pytest.mark.parametrize("way", libraries.WAYS_IN)
def test_the_same_weights_give_the_same_logits_and_the_same_kernel(way):
    net, w = libraries.WAYS_IN[way](), libraries.weights()
    np.testing.assert_allclose(net.predict(X), libraries.apply(w, X), atol=1e-5)
    reference = libraries.function()
    np.testing.assert_allclose(
        kernels.gram(net, X), helpers.plain_gram(reference, X, X), rtol=1e-4, atol=1e-5
    )


def test_params_of_a_function_may_be_any_pytree():
    w = libraries.weights()
    params = {"layers": [w["A"], (w["B"], None)], "power": 2, "scale": 0.5, "shift": np.float64(1)}

    def apply(p, x):
        first, (second, _) = p["layers"]
        return (jnp.tanh(x @ first) ** p["power"] @ second) * p["scale"] + p["shift"]

    net = Network.from_function(apply, params)
    np.testing.assert_allclose(net.predict(X), apply(params, X), atol=1e-6)
    assert jax.tree.structure(net.params) == jax.tree.structure(params)
    rows = jax.jit(jax.jacobian(lambda a, s, t, b: apply(
        {**params, "layers": [a, (b, None)], "scale": s, "shift": t}, X)[:, 0],
        argnums=(0, 1, 2, 3),
    ))(w["A"], 0.5, 1.0, w["B"])  # fmt: skip
    rows = np.concatenate([np.reshape(row, (len(X), -1)) for row in rows], 1)
    np.testing.assert_allclose(kernels.gram(net, X), rows @ rows.T, rtol=1e-4)


def test_a_python_float_among_the_parameters_does_not_widen_the_kernel(x64):
    w = libraries.weights()
    net = Network.from_function(
        lambda p, x: p["scale"] * libraries.apply(p, x), {**w, "scale": 0.5}
    )
    assert net.predict(X).dtype == kernels.gram(net, X).dtype == np.float32


@pytest.mark.parametrize("way", libraries.WAYS_IN)
def test_params_and_with_params_speak_the_users_pytree(way):
    net = libraries.WAYS_IN[way]()
    doubled = net.with_params(jax.tree.map(lambda a: 2 * a, net.params))
    assert jax.tree.structure(doubled) == jax.tree.structure(net)
    assert np.abs(doubled.predict(X) - net.predict(X)).max() > 0.1
    np.testing.assert_array_equal(doubled.with_params(net.params).predict(X), net.predict(X))


def test_params_have_the_type_that_the_library_uses():
    kinds = {way: type(make().params) for way, make in libraries.WAYS_IN.items()}
    expected = {"linen": dict, "nnx": nnx.State, "function": dict}
    assert kinds == {**expected, "equinox": libraries.EquinoxModel}


def test_variables_may_be_frozen_or_come_as_numpy_arrays_from_a_checkpoint():
    net = helpers.network()
    x = helpers.images(4)
    for variables in (freeze(net.variables), jax.tree.map(np.asarray, net.variables)):
        np.testing.assert_array_equal(Network(net.module, variables).predict(x), net.predict(x))


@pytest.mark.parametrize("way", [*libraries.WAYS_IN, "noisy nnx"])
def test_a_network_is_a_pytree(way):
    make = {**libraries.WAYS_IN, "noisy nnx": lambda: Network.from_nnx(libraries.NoisyNnx())}[way]
    net = make()
    logits = net.predict(X)
    np.testing.assert_allclose(jax.jit(lambda net: net.predict(X))(net), logits, atol=1e-6)
    of_sum = jax.jit(jax.grad(lambda params: net.with_params(params).logits(X).sum()))
    assert jax.tree.structure(of_sum(net.params)) == jax.tree.structure(net.params)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), net, make())
    both = jax.jit(jax.vmap(lambda net: net.logits(X)))(stacked)
    np.testing.assert_allclose(both, jnp.stack([logits, logits]), atol=1e-6)


@pytest.mark.parametrize("way", libraries.WAYS_IN)
def test_a_network_is_immutable_and_can_be_copied_and_pickled(way):
    net = libraries.WAYS_IN[way]()
    with pytest.raises(AttributeError, match="immutable"):
        net.params = {}
    with pytest.raises(AttributeError, match="immutable"):
        del net.params
    again = [copy.deepcopy(net)]
    if way in ("equinox", "function"):  # Flax keeps functions that cannot be pickled
        again.append(pickle.loads(pickle.dumps(net)))
    for copied in again:
        np.testing.assert_array_equal(copied.predict(X), net.predict(X))


@pytest.mark.parametrize("way", libraries.WAYS_IN)
def test_the_representation_fits_into_a_line(way):
    net = libraries.WAYS_IN[way]()
    assert repr(net) == f"Network({net.name}, params: 4 arrays with 66 entries)"


def test_equal_networks_compile_once(compilations):
    for make in (libraries.linen, libraries.WAYS_IN["nnx"], libraries.WAYS_IN["equinox"]):
        make().predict(X)
        nets = [make(), make()]
        before = len(compilations)
        for net in nets:
            net.predict(X)
        assert len(compilations) == before


class Scaled(nn.Module):
    """A module with an attribute that cannot be hashed."""

    settings: dict

    @nn.compact
    def __call__(self, x):
        return self.settings["scales"][0] * nn.Dense(3)(x)


def test_networks_that_differ_only_in_settings_are_not_mistaken_for_each_other():
    variables = Scaled({"scales": [1.0]}).init(jax.random.key(0), X)
    one, three = (Network(Scaled({"scales": [scale]}), variables) for scale in (1.0, 3.0))
    np.testing.assert_allclose(3 * one.predict(X), three.predict(X), rtol=1e-5)
    np.testing.assert_allclose(9 * kernels.gram(one, X), kernels.gram(three, X), rtol=1e-5)

    model = libraries.NoisyNnx()
    before = Network.from_nnx(model)
    kernels.gram(before, X)
    model.norm.epsilon = 1.0
    after = Network.from_nnx(model)
    np.testing.assert_allclose(kernels.gram(after, X), helpers.plain_gram(after, X, X), rtol=1e-4)
    assert np.abs(before.predict(X) - after.predict(X)).max() > 1e-3


def test_a_callable_object_with_arrays_can_be_the_function():
    @dataclasses.dataclass
    class Apply:
        mean: np.ndarray

        def __call__(self, params, x):
            return libraries.apply(params, x - self.mean)

    means = [np.full(libraries.D, m, np.float32) for m in (0.0, 1.0)]
    nets = [Network.from_function(Apply(mean), libraries.weights()) for mean in means]
    for net, mean in zip(nets, means, strict=True):
        expected = libraries.apply(libraries.weights(), X - mean)
        np.testing.assert_allclose(net.predict(X), expected, atol=1e-5)
        np.testing.assert_allclose(kernels.gram(net, X), helpers.plain_gram(net, X, X), rtol=1e-4)


@dataclasses.dataclass
class Output:
    logits: jax.Array


jax.tree_util.register_dataclass(Output, ["logits"], [])


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda f: (f, 0), lambda out: out[0]),
        (lambda f: {"logits": f, "hidden": f}, lambda out: out["logits"]),
        (Output, lambda out: out.logits),
    ],
)
def test_output_picks_the_logits(wrap, output):
    plain = libraries.function()
    net = Network.from_function(
        lambda params, x: wrap(libraries.apply(params, x)), libraries.weights(), output=output
    )
    np.testing.assert_array_equal(net.predict(X), plain.predict(X))
    np.testing.assert_allclose(kernels.gram(net, X), kernels.gram(plain, X), rtol=1e-6)


@pytest.mark.parametrize("pack", [lambda x, m: {"x": x, "mask": m}, lambda x, m: (x, m)])
def test_inputs_may_be_pytrees(pack):
    mask = np.arange(len(X)) % 2 == 0
    unpack = (lambda b: (b["x"], b["mask"])) if isinstance(pack(0, 0), dict) else (lambda b: b)

    def apply(params, batch):
        x, mask = unpack(batch)
        return libraries.apply(params, jnp.where(mask[:, None], x, 0))

    net = Network.from_function(apply, libraries.weights())
    masked = np.where(mask[:, None], X, 0)
    plain = libraries.function()
    batch = pack(X, mask)
    np.testing.assert_allclose(net.predict(batch), plain.predict(masked), atol=1e-6)
    np.testing.assert_allclose(kernels.gram(net, batch), kernels.gram(plain, masked), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int64])
def test_inputs_may_have_any_dtype(dtype):
    x = (10 * X).astype(dtype)
    net = libraries.function()
    np.testing.assert_allclose(net.predict(x), libraries.apply(libraries.weights(), x), atol=1e-5)
    expected = helpers.plain_gram(net, x, x)
    np.testing.assert_allclose(kernels.gram(net, x), expected, rtol=1e-3)


def test_a_function_may_close_over_what_jit_traces():
    w = libraries.weights()
    params = {name: jnp.asarray(w[name]) for name in "Aa"}

    @jax.jit
    def under_jit(head):
        net = Network.from_function(lambda p, x: libraries.apply({**p, **head}, x), params)
        return net.predict(X), kernels.gram(net, X)

    for factor in (1, 2):
        head = {"B": factor * w["B"], "b": w["b"]}
        net = Network.from_function(
            lambda p, x, head=head: libraries.apply({**p, **head}, x), params
        )
        predicted, theta = under_jit(head)
        np.testing.assert_allclose(predicted, net.predict(X), atol=1e-5)
        np.testing.assert_allclose(theta, kernels.gram(net, X), rtol=1e-4)
