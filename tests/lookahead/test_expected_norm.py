"""The mean norm of a Gaussian vector, beside its closed forms and beside samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from ntk_al.lookahead.expected_norm import expected_norm

DIMENSIONS = [1, 2, 3, 10, 1000]


def chi_mean(num):
    """E ‖z‖ of a standard normal vector."""
    return math.sqrt(2) * math.exp(math.lgamma((num + 1) / 2) - math.lgamma(num / 2))


@pytest.mark.parametrize("num", DIMENSIONS)
@pytest.mark.quick
def test_without_a_mean_it_is_that_of_the_chi_distribution(num, x64):
    norm = expected_norm(np.zeros(1), np.array([4.0]), copies=num)
    np.testing.assert_allclose(norm, 2 * chi_mean(num), rtol=1e-10)


@pytest.mark.parametrize("num", DIMENSIONS)
def test_with_a_mean_it_is_that_of_the_noncentral_chi_distribution(num, x64):
    for distance in (1e-3, 0.1, 1.0, 5.0):
        confluent = scipy.special.hyp1f1(-0.5, num / 2, -(distance**2) / 2)
        norm = expected_norm(np.array([distance**2]), np.ones(1), copies=num)
        np.testing.assert_allclose(norm, chi_mean(num) * confluent, rtol=1e-10)


def test_coordinates_may_have_different_variances(x64):
    rng = np.random.default_rng(0)
    for variance in ([1.0, 0.3, 0.01], [1.0, 0.0], [2.0, 2.0, 1e-6, 0.5]):
        mean = rng.normal(size=len(variance))
        draws = mean + rng.normal(size=(10**6, len(variance))) * np.sqrt(variance)
        norms = np.linalg.norm(draws, axis=1)
        error = norms.std() / 1000
        norm = float(expected_norm(mean**2, np.array(variance)))
        assert norm == pytest.approx(norms.mean(), abs=4 * error)


def test_equal_variances_may_be_given_together_or_one_by_one(x64):
    mean = np.array([0.3, -1.0, 0.2])
    np.testing.assert_allclose(
        expected_norm(np.array([(mean**2).sum()]), np.array([0.7]), copies=3),
        expected_norm(mean**2, np.full(3, 0.7)),
        rtol=1e-12,
    )


@pytest.mark.parametrize("num", DIMENSIONS)
@pytest.mark.quick
def test_without_a_variance_it_is_the_norm_of_the_mean(num):
    for squared in (0.0, 9.0):
        norm = expected_norm(np.array([squared], np.float32), np.zeros(1, np.float32), copies=num)
        np.testing.assert_allclose(norm, math.sqrt(squared), rtol=1e-6)


@pytest.mark.parametrize("num", DIMENSIONS)
def test_float32_is_precise_whatever_the_ratio_of_mean_and_deviation(num):
    for deviation in (1e-6, 1e-3, 1.0, 1e3):
        exact = chi_mean(num) * deviation
        if deviation < 1:
            exact = math.sqrt(1 + (num - 1) * deviation**2)  # to first order
        squared = np.array([1.0 if deviation < 1 else 0.0], np.float32)
        norm = expected_norm(squared, np.array([deviation**2], np.float32), copies=num)
        np.testing.assert_allclose(norm, exact, rtol=1e-6)
