from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.features import calibration
from tests import helpers

pytestmark = pytest.mark.quick


def refitted(features, targets, ridge):
    """Each point predicted by a ridge regression that is fitted to all others."""
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    noise = ridge * np.square(x).sum(1).mean()
    predictions = []
    for i in range(len(x)):
        others = np.delete(np.arange(len(x)), i)
        gram = x[others].T @ x[others] + noise * np.eye(x.shape[1])
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
    temperature = calibration.temperature_of_features(np.ones((1, 4)), targets[:1], ridge=1e-4)
    assert temperature in calibration.TEMPERATURES


def test_the_calibration_error_by_hand():
    logits = np.log([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.95, 0.05]])
    labels = np.array([0, 1, 1, 0])
    # With five bins: two at 0.6 of which one is right, then 0.9 and 0.95 together, both right.
    expected = (abs(1 - 1.2) + abs(2 - 1.85)) / 4
    assert calibration.calibration_error(logits, labels, 5) == pytest.approx(expected)
    # Between 0.9 and 0.95 there is an edge with fifteen bins, 14/15.
    expected = (abs(1 - 1.2) + abs(1 - 0.9) + abs(1 - 0.95)) / 4
    assert calibration.calibration_error(logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_the_temperature_undoes_a_scale(temperature):
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(3000, 3))
    labels = (helpers.softmax(logits).cumsum(1) < rng.random((3000, 1))).sum(1)
    found = calibration.best_temperature(temperature * logits, labels)
    assert found == pytest.approx(temperature, rel=0.15)


def test_among_equal_errors_the_temperature_nearest_to_one_is_taken():
    assert calibration.best_temperature(np.zeros((4, 2)), np.array([0, 1, 0, 1])) == 1


def test_outputs_that_are_all_right_are_as_confident_as_so_many_can_say():
    found = calibration.best_temperature(np.tile([1.0, 0.0], (100, 1)), np.zeros(100, int))
    confidence = helpers.softmax(np.array([1.0, 0.0]) / found).max()
    assert 0.99 <= confidence < 0.993
