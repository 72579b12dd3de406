from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from experiments.statistics import detectable_difference, seeds_needed


@pytest.mark.parametrize(("effect", "num_seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_small_medium_and_large_effects_need_the_pairs_of_the_tables(effect, num_seeds):
    # Power 0.8 at the level 0.05, as G*Power has it for Cohen's d of pairs.
    assert seeds_needed(0.03, difference=effect * 0.03) == num_seeds
    assert seeds_needed(0.03, difference=-effect * 0.03) == num_seeds


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 10])
def test_a_detectable_difference_is_detected_as_often_as_it_says(num_seeds):
    # solve_power of statsmodels says 10 standard deviations with 2 seeds, where it is 11.5.
    difference = detectable_difference(0.02, num_seeds, power=0.8)
    draws = np.random.default_rng(0).normal(difference, 0.02, (num_seeds, 20_000))
    detected = (stats.ttest_1samp(draws, 0).pvalue < 0.05).mean()
    assert detected == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 20_000))


@pytest.mark.parametrize("power", [0.5, 0.9])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("num_seeds", [6, 20, 100])
def test_the_difference_is_that_of_statsmodels_for_more_than_five_seeds(num_seeds, alpha, power):
    effect = TTestPower().solve_power(nobs=num_seeds, alpha=alpha, power=power)
    difference = detectable_difference(0.02, num_seeds, power=power, alpha=alpha)
    assert difference == pytest.approx(0.02 * effect, rel=1e-4)


@pytest.mark.parametrize("num_seeds", [2, 3, 4, 5, 17, 1000])
def test_as_many_seeds_are_needed_as_detect_the_difference(num_seeds):
    difference = detectable_difference(0.02, num_seeds, power=0.9, alpha=0.01)
    assert seeds_needed(0.02, difference * (1 + 1e-6), power=0.9, alpha=0.01) == num_seeds
    assert seeds_needed(0.02, difference * (1 - 1e-6), power=0.9, alpha=0.01) == num_seeds + 1


def test_the_detectable_difference_is_proportional_to_the_standard_deviation():
    assert detectable_difference(0.06, 8) == pytest.approx(3 * detectable_difference(0.02, 8))


def test_differences_stand_for_their_standard_deviation():
    differences = [0.01, 0.02, 0.03]  # with a standard deviation of 0.01
    assert detectable_difference(differences, 8) == pytest.approx(detectable_difference(0.01, 8))
    assert seeds_needed(differences, 0.005) == seeds_needed(0.01, 0.005) == 34


def test_without_any_spread_two_seeds_detect_everything():
    assert detectable_difference(0, 2) == 0
    assert seeds_needed([0.1, 0.1], 1e-6) == 2
    assert seeds_needed(1e-300, 1) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: detectable_difference(0.02, 1), "num_seeds must be .* at least 2"),
        (lambda: detectable_difference(-0.02, 5), "the standard deviation must be .* at least 0"),
        (lambda: detectable_difference(np.nan, 5), "spread has 1 NaN"),
        (lambda: detectable_difference([0.02], 5), "at least two differences"),
        (lambda: detectable_difference(np.eye(3), 5), "at least two differences"),
        (lambda: detectable_difference(0.02, 5, power=80), "power must be above 0 and below 1"),
        (lambda: detectable_difference(0.02, 5, alpha=0), "alpha must be above 0 and below 1"),
        (lambda: detectable_difference(0.02, 5, 0.05, 0.1), "power must be above alpha"),
        (lambda: detectable_difference(0.02, 2, 0.999, 1e-9), "with 2 seeds, no difference"),
        (lambda: seeds_needed(0.02, 0), "the absolute difference must be a positive"),
        (lambda: seeds_needed(0.02, np.nan), "the absolute difference must be a positive"),
        (lambda: seeds_needed(0.02, 1e-9), "more than 1073741824 seeds"),
        (lambda: seeds_needed(0.02, 0.01, power=1), "power must be above 0 and below 1"),
    ],
)
def test_what_no_test_can_do_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
