from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config import Config
from ntk_al import Network, kernels, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, requirements
from ntk_al.acquisition.strategies.bald import bald
from ntk_al.models import MODELS
from ntk_al.network.dropout import dropout_rates, sample_logits
from ntk_al.network.features import last_features
from ntk_al.training import TrainingConfig, losses
from tests import helpers

KEY = jax.random.key(3)
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)


def build(name, dropout, num_classes):
    return helpers.tiny_model(name, num_classes, dropout=dropout)


def fresh(name, dropout=0.0, num_classes=3):
    return training.initialize(KEY, build(name, dropout, num_classes), pictures(1))


def shapes_of(name, dropout=0.0):
    """The network as ``jax.eval_shape`` gives it: nothing is compiled."""
    module = build(name, dropout, 3)
    return jax.eval_shape(lambda x: training.initialize(KEY, module, x), pictures(1))


def pictures(num, seed=0):
    return np.random.default_rng(seed).normal(size=(num, 8, 8, 1)).astype(np.float32)


def candidates(net, x, ids=None):
    ids = 5 + 2 * np.arange(len(x)) if ids is None else ids
    options = LookaheadOptions(predictive=helpers.PREDICTIVE)
    return CandidateSet(net, x[:2], np.array([0, 1]), x, ids, options)


@EVERY_MODEL
def test_dropout_is_one_layer_whose_output_is_what_the_last_layer_sees(name):
    def calls_of(net):
        calls = []

        def record(next_function, args, kwargs, context):
            y = next_function(*args, **kwargs)
            if isinstance(context.module, nn.Dense | nn.Dropout):
                calls.append((type(context.module).__name__, args[0], y))
            return y

        with nn.intercept_methods(record):
            jax.eval_shape(lambda net: net.logits(pictures(1)), net)
        return calls

    without, calls = calls_of(shapes_of(name)), calls_of(shapes_of(name, 0.3))
    assert "Dropout" not in [kind for kind, _, _ in without]
    assert [kind for kind, _, _ in calls] == [*["Dense"] * (len(without) - 1), "Dropout", "Dense"]
    assert calls[-1][1] is calls[-2][2]
    for _ in range(2):  # a trace that JAX remembers must not hide it
        assert dropout_rates(shapes_of(name, 0.3), pictures(1)) == (0.3,)
        assert dropout_rates(shapes_of(name), pictures(1)) == ()


@EVERY_MODEL
@pytest.mark.quick
def test_dropout_changes_no_parameter(name):
    jax.tree.map(
        lambda plain, dropped: np.testing.assert_equal(plain.shape, dropped.shape),
        shapes_of(name).variables,
        shapes_of(name, 0.5).variables,
    )


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_dropout_changes_no_prediction(name):
    x, plain, dropped = pictures(3), fresh(name), fresh(name, 0.5)
    jax.tree.map(np.testing.assert_array_equal, plain.variables, dropped.variables)
    np.testing.assert_allclose(plain.logits(x), dropped.logits(x), rtol=1e-6)


def test_the_kernel_is_that_of_the_network_without_dropout():
    x = pictures(3)
    plain, dropped = (kernels.gram(fresh("mlp", rate), x) for rate in (0.0, 0.5))
    np.testing.assert_allclose(plain, dropped, rtol=1e-6)


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_what_is_dropped_are_the_inputs_of_the_last_layer(name):
    """Logits that outnumber the features tell them: each is dropped, or doubled."""
    x, net = pictures(8), fresh(name, 0.5, num_classes=50)
    layers = [layer for layer in net.params if layer.startswith("Dense")]
    last = net.params[max(layers, key=lambda layer: int(layer.removeprefix("Dense_")))]
    drawn = sample_logits(net, jax.random.split(KEY, 8), x)
    used = np.linalg.lstsq(last["kernel"].T, (drawn - last["bias"]).T, rcond=None)[0].T
    features = np.asarray(last_features(net, x))
    alive = np.abs(features) > 0.01
    factors = np.round(used[alive] / features[alive], 2)
    assert set(np.abs(factors).tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_of_zero_to_one_is_refused(rate):
    with pytest.raises(ValueError, match="dropout must be a number of at least 0 and below 1"):
        models.build("mlp", 3, dropout=rate)
    with pytest.raises(ValueError, match="dropout must be a number of at least 0 and below 1"):
        Config(dropout=rate)


def test_training_drops_and_the_key_decides_what():
    x, y = pictures(8), helpers.labels(8)
    config = TrainingConfig(epochs=2, batch_size=4, learning_rate=0.05)

    def trained(rate, key):
        return training.fit(key, fresh("mlp", rate), x, y, config)[0].logits(x)

    once, again, without = trained(0.5, KEY), trained(0.5, KEY), trained(0.0, KEY)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - without).max() > 1e-3


def test_the_key_of_dropout_is_not_the_key_of_the_augmentation(monkeypatch):
    keys = {}

    def augmentation(key, images):
        keys["augmentation"] = key
        return images

    @dataclasses.dataclass(frozen=True)
    class Recorder:
        def __call__(self, run, y, progress):
            keys["dropout"] = run.args[-1]
            return losses.TaskLoss("squared")(run, y, progress)

    monkeypatch.setitem(training.AUGMENTATIONS, "none", augmentation)
    monkeypatch.setattr(losses, "of_module", lambda *_: Recorder())
    config, start = TrainingConfig(epochs=1, batch_size=4), fresh("mlp", 0.5)
    with jax.disable_jit():  # the keys have values
        training.fit(KEY, start, pictures(4), helpers.labels(4), config)
    augmentation_key, dropout_key = (np.array(jax.random.key_data(k)) for k in keys.values())
    assert (augmentation_key != dropout_key).any()


class Coin(nn.Module):
    """Logits (2x, 0) or (0, 0), as a coin falls: dropout of rate 1/2 doubles what it keeps."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Dropout(0.5, deterministic=not train)(x.reshape(len(x), 1))
        return jnp.concatenate([x, jnp.zeros_like(x)], axis=1)


@pytest.mark.parametrize("x", [0.0, 0.5, 2.0])
@pytest.mark.quick
def test_bald_tends_to_the_mutual_information_of_a_coin_and_a_label(x):
    coin = Network(Coin(), {"params": {}})
    given = candidates(coin, np.full((64, 1), x, np.float32))
    estimates, _ = bald(KEY, given, num_samples=256)
    heads, tails = helpers.probabilities([2 * x, 0]), np.array([0.5, 0.5])
    conditional = (helpers.entropy(heads) + helpers.entropy(tails)) / 2
    exact = helpers.entropy((heads + tails) / 2) - conditional
    assert np.mean(estimates) == pytest.approx(exact, abs=4e-3)
    assert (exact > 0.1) == (x > 0)


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_bald_is_the_plain_loop_over_its_draws(name):
    x, net, num_samples = pictures(6), fresh(name, 0.3), 7
    given = candidates(net, x)
    expected = []
    for i, example in zip(given.ids, x, strict=True):
        draws = []
        for t in range(num_samples):
            key = jax.random.fold_in(jax.random.fold_in(KEY, t), i)
            draws.append(helpers.probabilities(sample_logits(net, key[None], example[None])))
        p = np.concatenate(draws)
        expected.append(helpers.entropy(p.mean(0)) - helpers.entropy(p).mean())
    utilities, _ = bald(KEY, given, num_samples=num_samples)
    np.testing.assert_allclose(utilities, expected, rtol=1e-3, atol=1e-6)


def test_the_draws_of_a_candidate_are_its_own():
    """They depend on no other candidate, on no position, and on no label of the query."""
    x, net = pictures(6), fresh("mlp", 0.3)
    full, _ = bald(KEY, candidates(net, x))
    some = np.array([4, 1, 3])
    part, _ = bald(KEY, candidates(net, x[some], 5 + 2 * some))
    np.testing.assert_allclose(part, full[some], rtol=1e-4, atol=1e-6)
    later, _ = bald(KEY, candidates(net, x).observe(0, 1))
    np.testing.assert_allclose(later, full, rtol=1e-6)
    other, _ = bald(jax.random.key(4), candidates(net, x))
    assert np.abs(other - full).max() > 1e-4


def test_equal_draws_have_no_information():
    utilities, _ = bald(KEY, candidates(fresh("mlp"), pictures(4)))
    np.testing.assert_allclose(utilities, 0, atol=1e-6)


def test_bald_without_dropout_is_refused_with_what_would_work():
    with pytest.raises(ValueError, match="'bald' cannot be used: the network MLP has no") as error:
        requirements.check(STRATEGIES, "bald", fresh("mlp"), pictures(1))
    would_work = str(error.value).split("these work: ")[1]
    assert {"random", "entropy"} <= set(would_work.split(", "))
    assert "bald" not in would_work
    requirements.check(STRATEGIES, "bald", fresh("mlp", 0.1), pictures(1))
