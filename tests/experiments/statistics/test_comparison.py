from __future__ import annotations

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics import paired_difference, wilcoxon

B = np.array([0.50, 0.60, 0.55, 0.70])
A = B + np.array([0.01, 0.02, 0.03, 0.06])


def test_four_pairs_have_the_t_test_by_hand():
    # In hundredths: mean 3, s² = 14 / 3, t = 3 / (s / √4), so t² / 3 = 18 / 7. With three degrees
    # of freedom P(|T| < t) = (2 / π) (x / (1 + x²) + arctan x), where x = t / √3.
    x = math.sqrt(18 / 7)
    difference = paired_difference(A, B)
    assert difference.mean == pytest.approx(0.03)
    assert difference.p == pytest.approx(1 - 2 / math.pi * (x / (1 + x**2) + math.atan(x)))
    assert difference.high - 0.03 == pytest.approx(0.031824463 * math.sqrt(14 / 3) / 2)


def test_the_p_value_is_that_of_the_paired_t_test_of_scipy():
    a, b = np.random.default_rng(0).random((2, 7, 3))
    np.testing.assert_allclose(paired_difference(a, b).p, stats.ttest_rel(a, b).pvalue)


def test_p_is_below_one_minus_the_confidence_just_where_the_interval_leaves_out_zero():
    a, b = np.random.default_rng(0).random((2, 4, 200))
    difference = paired_difference(a, b, confidence=0.8)
    left_out = (difference.low > 0) | (difference.high < 0)
    assert 10 < left_out.sum() < 190
    np.testing.assert_array_equal(left_out, difference.p < 0.2)


def test_exchanging_the_strategies_changes_only_the_sign():
    one, other = paired_difference(A, B), paired_difference(B, A)
    assert (one.mean, one.low, one.high) == (-other.mean, -other.high, -other.low)
    assert one.p == other.p


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(st.permutations(range(4)), st.floats(-0.5, 0.3))
def test_neither_the_order_of_the_pairs_nor_a_constant_in_both_matters(order, constant):
    before = paired_difference(A, B)
    after = paired_difference(A[order] + constant, B[order] + constant)
    for name in ("mean", "low", "high", "p"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-9)
    assert wilcoxon(A[order] + constant, B[order] + constant) == wilcoxon(A, B)


def test_pairs_matter():
    before, after = paired_difference(A, B), paired_difference(A[::-1], B)
    assert after.mean == pytest.approx(before.mean)
    assert after.high > before.high + 0.05
    assert after.p > 0.5 > 0.1 > before.p


def test_strategies_that_are_equal_for_every_seed_have_p_one():
    difference = paired_difference(A, A)
    assert (difference.mean, difference.low, difference.high, difference.p) == (0, 0, 0, 1)
    assert wilcoxon(A, A) == 1


def test_strategies_that_differ_by_the_same_amount_for_every_seed_have_p_zero():
    # In floating point 0.9 − 0.8, 0.8 − 0.7 and 0.3 − 0.2 are three numbers.
    difference = paired_difference([0.9, 0.8, 0.3], [0.8, 0.7, 0.2])
    assert difference.p == 0
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))


def test_columns_with_and_without_variance_do_not_disturb_each_other():
    difference = paired_difference(np.stack([A, B, B + 0.1], 1), np.stack([B, B, B], 1))
    assert difference.p.tolist() == [paired_difference(A, B).p, 1, 0]


def test_the_difference_of_one_pair_has_no_interval_and_no_p():
    difference = paired_difference([0.7], [0.6])
    assert difference.mean == pytest.approx(0.1)
    assert np.isnan([difference.low, difference.high, difference.p]).all()


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5], 2 / 2**5),  # one of the 32 signs is as extreme, at either end
        ([-1, 2, 3, 4, 5], 4 / 2**5),  # rank sums 0 and 1 are reached in one way each
        ([1, 2, -3, 4, 5], 10 / 2**5),  # 0, 1, 2 in one way each, 3 in two
        ([0, 1, 2, 3, 0], 2 / 2**3),  # ties are left out
        ([0, 0, -1], 1),
        ([1, -1], 1),
    ],
)
def test_wilcoxon_counts_signs(differences, p):
    base = np.array([0.31, 0.55, 0.42, 0.64, 0.5])[: len(differences)]
    assert wilcoxon(base + np.array(differences) / 100, base) == pytest.approx(p)


def test_wilcoxon_sees_equal_differences_as_ties():
    # Differences of 0.1, 0.1, 0.1, −0.1 and 0.4 have the ranks 2.5, 2.5, 2.5, 2.5 and 5. Of the 32
    # signs 5 have a rank sum of at most 2.5, none or one of the four, and as many at the other end.
    a, b = [0.9, 0.8, 0.3, 0.5, 0.9], [0.8, 0.7, 0.2, 0.6, 0.5]
    assert wilcoxon(a, b) == pytest.approx(10 / 32)


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_with_ties_is_that_of_all_signs(seed):
    rng = np.random.default_rng(seed)
    differences = rng.integers(1, 4, 7) * rng.choice([-1, 1], 7) / 100
    expected = stats.wilcoxon(differences, method=stats.PermutationMethod(n_resamples=2**7))
    assert wilcoxon(differences, np.zeros(7)) == pytest.approx(expected.pvalue)


def test_wilcoxon_with_ties_comes_close_to_its_approximation():
    rng = np.random.default_rng(0)
    differences = rng.integers(-30, 60, 50) / 100
    approximation = stats.wilcoxon(differences[differences != 0], method="asymptotic").pvalue
    assert 0.001 < approximation < 0.5
    assert wilcoxon(differences, np.zeros(50)) == pytest.approx(approximation, rel=0.1)
    many, zeros = np.tile(differences, 2), np.zeros(100)
    assert wilcoxon(many, zeros) == stats.wilcoxon(many, method="asymptotic").pvalue


@pytest.mark.parametrize("test", [paired_difference, wilcoxon])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.1, 0.2], [0.1], "pairs from the same seeds"),
        ([], [], "pairs from the same seeds"),
        (0.1, 0.2, "pairs from the same seeds"),
        ([0.1, np.nan], [0.1, 0.2], "a has 1 NaN"),
        ([0.1, 0.2], [np.inf, 0.2], "b has 1 NaN or infinite"),
    ],
)
def test_what_are_no_pairs_is_refused(test, a, b, message):
    with pytest.raises(ValueError, match=message):
        test(a, b)


def test_wilcoxon_takes_one_axis():
    with pytest.raises(ValueError, match="one axis"):
        wilcoxon([[0.1]], [[0.2]])
