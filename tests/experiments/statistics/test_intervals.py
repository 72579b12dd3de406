from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.statistics import mean_interval


def test_with_two_values_the_interval_is_that_of_the_cauchy_distribution():
    # t(1) is the Cauchy distribution with quantiles tan(π (q − 1/2)), and s / √2 = |a − b| / 2.
    interval = mean_interval([0.6, 0.8], confidence=0.95)
    half = math.tan(math.pi * 0.475) * 0.1
    np.testing.assert_allclose(
        [interval.mean, interval.low, interval.high], 0.7 + half * np.array([0, -1, 1])
    )


def test_with_four_values_the_interval_is_the_one_by_hand():
    # Mean 3, squares 4 + 1 + 0 + 9 = 14, s² = 14 / 3, s / √4 = 1.0801; t(3) = 3.1824 at 97.5 %.
    interval = mean_interval([1, 2, 3, 6])
    assert interval.mean == 3
    assert interval.high - 3 == pytest.approx(3.1824463 * math.sqrt(14 / 3) / 2)
    assert interval.high - 3 == 3 - interval.low


def test_a_wider_confidence_is_a_wider_interval():
    halves = [mean_interval([1, 2, 3, 6], confidence=c).high for c in (0.5, 0.9, 0.95, 0.99)]
    assert halves == sorted(set(halves))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(0.7, 0.02, (5, 20_000))
    interval = mean_interval(samples, confidence=0.9)
    covered = ((interval.low < 0.7) & (interval.high > 0.7)).mean()
    assert covered == pytest.approx(0.9, abs=4 * math.sqrt(0.9 * 0.1 / 20_000))


def test_each_column_has_the_interval_that_it_has_alone():
    values = np.random.default_rng(0).random((4, 3))
    together, transposed = mean_interval(values), mean_interval(values.T, axis=1)
    for i in range(3):
        alone = mean_interval(values[:, i])
        for both in (together, transposed):
            assert (both.mean[i], both.low[i], both.high[i]) == pytest.approx(
                (alone.mean, alone.low, alone.high)
            )


def test_the_spread_of_one_value_is_unknown():
    interval = mean_interval([[0.7, 0.8]])
    np.testing.assert_array_equal(interval.mean, [0.7, 0.8])
    assert np.isnan([interval.low, interval.high]).all()
    assert np.isnan(mean_interval([0.7]).low)


def test_equal_values_have_an_interval_without_width():
    interval = mean_interval([0.5, 0.5, 0.5])
    assert interval.low == interval.mean == interval.high == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one value"),
        ((0.5,), "at least one value"),
        (([0.1, np.nan],), "values has 1 NaN or infinite"),
        (([0.1, 0.2], 0, 95), "confidence must be above 0 and below 1, got 95"),
    ],
)
def test_values_without_an_interval_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(*arguments)
