from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from ntk_al.network import Predictive
from ntk_al.network.predictive import nearest_in_simplex
from tests import helpers

pytestmark = pytest.mark.quick

OUTPUTS = np.random.default_rng(0).normal(size=(5, 4)) * [[0.1], [0.5], [1], [3], [9]]
EVERY = pytest.mark.parametrize(
    "predictive", [Predictive(), Predictive(0.2), Predictive(simplex=True)], ids=str
)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 7.0])
def test_probabilities_are_the_softmax_of_the_outputs_over_the_temperature(temperature):
    np.testing.assert_allclose(
        Predictive(temperature).probabilities(OUTPUTS),
        helpers.softmax(OUTPUTS / temperature),
        rtol=1e-12,
    )


def test_the_simplex_projection_is_the_nearest_probability_vector():
    for f, p in zip(OUTPUTS, nearest_in_simplex(OUTPUTS), strict=True):
        best = scipy.optimize.minimize(
            lambda q, f=f: np.square(q - f).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
            tol=1e-12,
        ).x
        np.testing.assert_allclose(p, best, atol=1e-5)


def test_a_probability_vector_is_its_own_projection():
    p = helpers.softmax(OUTPUTS)
    np.testing.assert_allclose(nearest_in_simplex(p), p, atol=1e-15)
    np.testing.assert_array_equal(nearest_in_simplex(np.array([3.0, 3.0])), [0.5, 0.5])


@EVERY
def test_entropy_is_that_of_the_probabilities(predictive):
    p = predictive.probabilities(OUTPUTS)
    plain = [-sum(q * np.log(q) for q in row if q > 0) for row in p]
    np.testing.assert_allclose(predictive.entropy(OUTPUTS), plain, rtol=1e-9, atol=1e-14)


@EVERY
def test_certain_and_huge_outputs_have_no_entropy_and_equal_ones_the_most(predictive):
    outputs = np.array([[1e4, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(predictive.probabilities(outputs), [[1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(predictive.entropy(outputs), [0, np.log(2)])


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), np.inf, np.float32(-2)])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be a positive finite number"):
        Predictive(temperature)


def test_a_temperature_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="temperature must be a number"):
        Predictive("0.3")


@EVERY
def test_jax_arrays_under_jit_give_what_numpy_gives(predictive):
    outputs = jnp.asarray(OUTPUTS, jnp.float32)
    p, entropy = jax.jit(lambda d, f: (d.probabilities(f), d.entropy(f)))(predictive, outputs)
    assert p.dtype == entropy.dtype == jnp.float32
    np.testing.assert_allclose(p, predictive.probabilities(OUTPUTS), atol=1e-6)
    np.testing.assert_allclose(entropy, predictive.entropy(OUTPUTS), atol=1e-5)
