from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network
from ntk_al.network import calibration
from tests import helpers

pytestmark = pytest.mark.quick


def refitted(features, targets, ridge):
    """Each point predicted by a ridge regression that is fitted to all others."""
    scale = np.square(features).sum(1).mean()
    x = np.concatenate([features, np.full((len(features), 1), np.sqrt(scale))], axis=1)
    predictions = []
    for i in range(len(x)):
        others = np.delete(np.arange(len(x)), i)
        gram = x[others].T @ x[others] + ridge * scale * np.eye(x.shape[1])
        predictions.append(x[i] @ np.linalg.solve(gram, x[others].T @ targets[others]))
    return np.array(predictions)


@pytest.mark.parametrize("num", [5, 12])
@pytest.mark.parametrize("ridge", [1e-4, 0.3])
def test_leaving_one_out_in_closed_form_is_refitting_without_it(num, ridge):
    rng = np.random.default_rng(num)
    features, targets = rng.normal(size=(num, 7)), np.eye(3)[rng.integers(0, 3, num)]
    np.testing.assert_allclose(
        calibration.leave_one_out(features, targets, ridge=ridge),
        refitted(features, targets, ridge),
        rtol=1e-6,
        atol=1e-8,
    )


def test_copies_and_a_single_label_and_no_ridge_give_finite_outputs():
    targets = np.eye(2)[[0, 1, 0]]
    for features in (np.ones((3, 4)), np.zeros((3, 4)), np.eye(3)):
        for ridge in (0.0, 1e-4):
            assert np.isfinite(calibration.leave_one_out(features, targets, ridge=ridge)).all()
    assert np.isfinite(calibration.leave_one_out(np.ones((1, 4)), targets[:1])).all()


def drawn_labels(logits, seed=0):
    """Labels from the softmax of the logits."""
    rng = np.random.default_rng(seed)
    return (helpers.softmax(logits).cumsum(1) < rng.random((len(logits), 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("center", [0.2, 0.8])
def test_many_held_out_labels_find_the_temperature_that_they_were_drawn_with(temperature, center):
    logits = 1.5 * np.random.default_rng(0).normal(size=(3000, 3))
    found = calibration.fit_temperature(temperature * logits, drawn_labels(logits), center)
    assert found == pytest.approx(temperature, rel=0.2)


def test_labels_that_are_all_right_do_not_make_the_prediction_certain():
    held_out, labels = np.tile([1.0, 0.0], (20, 1)), np.zeros(20, int)
    found = calibration.fit_temperature(held_out, labels, 0.2)
    assert 0.1 < found < 0.2


@pytest.mark.parametrize("mean", [0.55, 0.8, 0.99])
def test_without_labels_the_mean_confidence_is_the_mean_of_the_largest_output(mean):
    rng = np.random.default_rng(0)
    largest = np.clip(mean + 0.02 * rng.normal(size=400), 0.5, 1)
    outputs = np.stack([largest, 1 - largest], axis=1)
    temperature = calibration.temperature_of_pool(outputs)
    confidence = helpers.softmax(outputs / temperature).max(1).mean()
    assert confidence == pytest.approx(largest.mean(), abs=1e-6)


@pytest.mark.parametrize("outputs", [np.zeros((4, 3)), np.full((1, 2), 5.0), -np.eye(3)])
def test_outputs_that_no_regression_would_give_stay_within_the_bounds(outputs):
    low, high = calibration.BOUNDS
    assert low <= calibration.temperature_of_pool(outputs) <= high


X, Y = helpers.images(20, seed=1), helpers.labels(20, seed=1)


def fitted(scale):
    """A network whose last layer fits its labels, times a scale."""
    weights = np.linalg.pinv(X.reshape(20, -1)) @ np.eye(3)[Y]
    return Network.from_function(
        lambda w, x: x.reshape(len(x), -1) @ w, jnp.asarray(scale * weights, jnp.float32)
    )


def temperature(network):
    logits = [network.predict(x) for x in (X, helpers.images(50, seed=2))]
    return calibration.calibrated(network, X, np.eye(3)[Y], *logits).temperature


def test_a_regression_gets_a_low_temperature_and_logits_of_a_cross_entropy_none():
    assert temperature(fitted(1)) < 0.5
    assert temperature(fitted(8)) == 1
    logits = fitted(8)
    log_probabilities = Network.from_function(
        lambda w, x: jax.nn.log_softmax(x.reshape(len(x), -1) @ w), logits.params
    )
    assert temperature(log_probabilities) == 1


def test_a_network_without_a_last_layer_is_calibrated_by_its_outputs_alone():
    plain = fitted(1)
    bent = Network.from_function(
        lambda w, x: jnp.tanh(x.reshape(len(x), -1) @ w), jnp.asarray(plain.params)
    )
    pool = bent.predict(helpers.images(50, seed=2))
    expected = calibration.temperature_of_pool(np.asarray(pool, np.float64))
    assert temperature(bent) == pytest.approx(float(expected))


def test_under_jit_and_vmap_the_temperature_is_the_same_whatever_is_traced():
    network, targets, pool = fitted(1), np.eye(3, dtype=np.float32)[Y], helpers.images(50, seed=2)
    expected = pytest.approx(temperature(network), rel=1e-3)

    @jax.jit
    def jitted(network, x, targets, pool):
        outputs = network.predict(x), network.predict(pool)
        return calibration.calibrated(network, x, targets, *outputs).temperature

    assert jitted(network, X, targets, pool) == expected

    def of_pool(outputs):
        known = network, X, targets, network.predict(X)
        return calibration.calibrated(*known, outputs).temperature

    outputs = network.predict(pool)
    assert jax.jit(of_pool)(outputs) == expected
    assert jax.jit(jax.vmap(of_pool))(jnp.stack([outputs, outputs]))[1] == expected
