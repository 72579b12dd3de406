"""Networks of every library are trained alike, with any optimizer of optax, and given back."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from ntk_al import Network, training
from ntk_al.training import TrainingConfig
from tests import helpers
from tests.network import libraries

pytestmark = pytest.mark.quick
KEY = jax.random.key(0)
X, Y = libraries.inputs(8), helpers.labels(8)
FIVE_STEPS = TrainingConfig(epochs=5, batch_size=8, learning_rate=0.05)
LONGER = TrainingConfig(epochs=60, batch_size=8, learning_rate=0.02)
ADAMW = optax.adamw(0.01, weight_decay=0.5, mask=lambda params: jax.tree.map(_is_matrix, params))


def _is_matrix(a):
    return a.ndim == 2


def in_order(net):
    """The four parameters as A, a, B, b, from the layouts of all libraries."""
    matrices = sorted((a for a in jax.tree.leaves(net.params) if a.ndim == 2), key=np.size)
    biases = sorted((a for a in jax.tree.leaves(net.params) if a.ndim == 1), key=np.size)
    wide, tall = (libraries.D, libraries.H), (libraries.H, libraries.C)
    second, first = (
        a if a.shape == shape else a.T for a, shape in zip(matrices, (tall, wide), strict=True)
    )
    return [first, biases[1], second, biases[0]]


def assert_close(first, second, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), first, second)


@pytest.mark.parametrize("optimizer", [None, ADAMW])
def test_the_same_weights_stay_the_same_in_every_library(optimizer):
    trained = [
        training.fit(KEY, make(), X, Y, FIVE_STEPS, optimizer=optimizer)
        for make in libraries.WAYS_IN.values()
    ]
    (first, loss), *others = trained
    for other, other_loss in others:
        assert_close(in_order(first), in_order(other), atol=1e-5)
        assert loss == pytest.approx(other_loss, abs=1e-5)
    assert np.abs(first.predict(X) - libraries.linen().predict(X)).max() > 0.01


def test_an_optimizer_of_optax_takes_its_own_steps():
    """Full batches: each step is optax's own, on the gradient of the mean loss."""
    net = libraries.function()

    def loss(params):
        return jnp.square(libraries.apply(params, X) - np.eye(3)[Y]).sum(1).mean()

    params, state = net.params, ADAMW.init(net.params)
    for _ in range(5):
        updates, state = ADAMW.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    trained, _ = training.fit(KEY, net, X, Y, FIVE_STEPS, optimizer=ADAMW)
    assert_close(trained.params, params, atol=1e-5)


@pytest.mark.parametrize("optimizer", [optax.adamw, "adam"])
def test_what_is_no_optimizer_is_refused(optimizer):
    with pytest.raises(TypeError, match=r"such as optax\.adamw\(1e-3\), got"):
        training.fit(KEY, libraries.function(), X, Y, FIVE_STEPS, optimizer=optimizer)


def test_the_advice_after_divergence_names_the_rate_that_was_used():
    config = dataclasses.replace(FIVE_STEPS, epochs=20)
    with pytest.raises(training.DivergedError, match="Lower the learning rate of the optimizer"):
        training.fit(KEY, libraries.function(), X, Y, config, optimizer=optax.sgd(1e6))


def test_an_nnx_model_with_batchnorm_and_dropout_is_trained():
    model = libraries.NoisyNnx()
    net = Network.from_nnx(model)
    trained, loss = training.fit(KEY, net, X, Y, LONGER)
    again, same = training.fit(KEY, net, X, Y, LONGER)
    other, _ = training.fit(jax.random.key(1), net, X, Y, LONGER)
    assert loss == same < 0.3
    assert_close(again.params, trained.params)
    assert np.abs(other.predict(X) - trained.predict(X)).max() > 1e-4
    # The model was not touched; the statistics of the trained one have moved.
    np.testing.assert_array_equal(model.norm.mean[...], np.zeros(libraries.H))
    assert np.abs(training.to_nnx(trained).norm.mean[...]).max() > 0.01


def test_the_trained_nnx_model_predicts_the_same_and_can_be_trained_on():
    model = libraries.NoisyNnx()
    trained, _ = training.fit(KEY, Network.from_nnx(model), X, Y, FIVE_STEPS)
    given = training.to_nnx(trained)
    assert type(given) is libraries.NoisyNnx
    assert not given.dropout.deterministic  # the mode of the model
    stream, before = given.dropout.rngs.key, model.dropout.rngs.key
    np.testing.assert_array_equal(*(jax.random.key_data(k[...]) for k in (stream, before)))

    given.eval()
    predicted = trained.predict(X)
    np.testing.assert_allclose(given(X), predicted, atol=1e-6)

    given.train()
    optimizer = nnx.Optimizer(given, optax.adam(0.05), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        def loss(model):
            return jnp.square(model(X) - jax.nn.one_hot(Y, 3)).sum(1).mean()

        optimizer.update(model, nnx.grad(loss)(model))

    for _ in range(3):
        step(given, optimizer)
    given.eval()
    assert np.abs(given(X) - predicted).max() > 0.01
    np.testing.assert_array_equal(trained.predict(X), predicted)  # a network shares no variable


def test_state_that_an_nnx_model_changes_itself_is_kept_and_records_are_dropped():
    trained, _ = training.fit(KEY, Network.from_nnx(libraries.Recording()), X, Y, FIVE_STEPS)
    given = training.to_nnx(trained)
    assert int(given.calls[...]) == 5
    assert not hasattr(given, "seen")


def test_an_equinox_model_with_dropout_is_trained_and_given_back():
    net = Network.from_equinox(libraries.NoisyEquinox())
    config = dataclasses.replace(LONGER, epochs=150)
    trained, loss = training.fit(KEY, net, X, Y, config)
    again, same = training.fit(KEY, net, X, Y, config)
    assert loss == same < training.fit(KEY, net, X, Y, dataclasses.replace(config, epochs=1))[1]
    assert_close(again.params, trained.params)
    given = training.to_equinox(trained)
    assert type(given) is libraries.NoisyEquinox
    assert not given.dropout.inference
    inference = eqx.nn.inference_mode(given)
    expected = jax.vmap(lambda x: inference(x, KEY))(X)
    np.testing.assert_allclose(trained.predict(X), expected, atol=1e-6)


def test_batchnorm_of_equinox_keeps_its_running_statistics():
    class WithState(eqx.Module):
        norm: eqx.nn.BatchNorm
        head: eqx.nn.Linear

        def __init__(self):
            self.norm = eqx.nn.BatchNorm(libraries.D, "batch", mode="batch")
            self.head = eqx.nn.Linear(libraries.D, 3, key=KEY)

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.head(x), state

    model, state = eqx.nn.make_with_state(WithState)()
    _, state = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(X, state)
    net = Network.from_equinox(eqx.Partial(model, state=state), output=lambda out: out[0])
    trained, _ = training.fit(KEY, net, X, Y, FIVE_STEPS)
    assert_close(trained.state, net.state)
    assert np.abs(trained.predict(X) - net.predict(X)).max() > 0.01


def test_models_are_given_back_only_to_their_own_library():
    for give in (training.to_nnx, training.to_equinox):
        with pytest.raises(TypeError, match=r"the network apply was not made by Network\.from_"):
            give(libraries.function())


def test_streams_of_any_name_reach_a_linen_module():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            if train:
                x = x + jax.random.normal(self.make_rng("noise"), x.shape)
            return nn.Dense(3)(x)

    start = training.initialize(KEY, Noisy(), X)
    first, again, other = (
        training.fit(jax.random.key(seed), start, X, Y, FIVE_STEPS)[0] for seed in (0, 0, 1)
    )
    assert_close(first.params, again.params)
    assert np.abs(first.predict(X) - other.predict(X)).max() > 1e-3


def test_modules_that_cannot_be_hashed_are_initialized():
    module = nn.Sequential([nn.Dense(4), nn.tanh, nn.Dense(3)])
    net = training.initialize(KEY, module, X)
    assert_close(net.variables, module.init(KEY, X[:1]), atol=1e-6)


def test_real_targets_are_regressed():
    targets = np.random.default_rng(0).normal(size=(8, 3))
    config = dataclasses.replace(FIVE_STEPS, epochs=1, weight_decay=0.0)
    net = libraries.function()
    _, loss = training.fit(KEY, net, X, targets, config)
    expected = np.square(net.predict(X) - targets).sum(1).mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_one_hot_targets_are_class_ids():
    one_hot = np.eye(3)[Y]
    for loss in training.LOSSES:
        config = dataclasses.replace(FIVE_STEPS, loss=loss)
        ids, hot = (training.fit(KEY, libraries.function(), X, y, config)[0] for y in (Y, one_hot))
        assert_close(ids.params, hot.params, atol=1e-6)


def test_inputs_may_be_pytrees_on_the_host_or_on_a_device():
    def apply(params, batch):
        return libraries.apply(params, jnp.where(batch["mask"][:, None], batch["x"], 0))

    net = Network.from_function(apply, libraries.weights())
    mask = np.arange(8) % 2 == 0
    masked = np.where(mask[:, None], X, 0)
    config = dataclasses.replace(FIVE_STEPS, batch_size=4)
    expected, _ = training.fit(KEY, libraries.function(), masked, Y, config)
    for convert in (np.asarray, jnp.asarray):
        batch = jax.tree.map(convert, {"x": X, "mask": mask})
        trained, _ = training.fit(KEY, net, batch, Y, config)
        assert_close(trained.params, expected.params, atol=1e-5)
    assert training.accuracy(trained, batch, Y) == training.accuracy(expected, masked, Y)


def test_a_linen_module_may_take_a_pytree():
    class Sum(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x["a"] + x["b"])

    batch = {"a": X, "b": X}
    net = training.initialize(KEY, Sum(), batch)
    _, loss = training.fit(KEY, net, batch, Y, LONGER)
    assert loss < training.fit(KEY, net, batch, Y, FIVE_STEPS)[1]


def test_leaves_of_params_that_are_no_parameters_stay_as_they_are():
    params = {**libraries.weights(), "steps": 3, "none": None, "scale": 0.5}
    net = Network.from_function(lambda p, x: p["scale"] * libraries.apply(p, x), params)
    trained, _ = training.fit(KEY, net, X, Y, FIVE_STEPS)
    assert trained.params["steps"] == 3
    assert trained.params["none"] is None
    assert trained.params["scale"] != 0.5


def test_accuracy_refuses_inputs_that_are_no_batch():
    with pytest.raises(TypeError, match="x is a list"):
        training.accuracy(libraries.function(), X.tolist(), Y)
