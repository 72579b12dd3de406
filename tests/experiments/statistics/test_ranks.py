from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.statistics import area_under_curve, friedman
from tests.experiments.statistics import problems

A = [0.90, 0.91, 0.92, 0.93]
B = [0.80, 0.81, 0.82, 0.60]
C = [0.70, 0.71, 0.72, 0.65]


def test_friedman_is_its_formula_of_rank_sums():
    # Rank sums 4, 2 + 2 + 2 + 3 = 9 and 11: 12 / (4 · 3 · 4) (16 + 81 + 121) − 3 · 4 · 4 = 6.5, and
    # with two degrees of freedom p = exp(−χ² / 2).
    test = friedman(problems.after_a_query(a=A, b=B, c=C))
    assert test.statistic == pytest.approx(6.5)
    assert test.p == pytest.approx(math.exp(-3.25))
    assert test.mean_ranks == {"a": 1, "b": 9 / 4, "c": 11 / 4}
    assert test.n == 4


def test_friedman_corrects_for_ties():
    # Rank sums 4, 8.5 and 11.5: 220.5 / 4 − 48 = 7.125. One tie of two in four blocks of three
    # divides that by 1 − (2³ − 2) / (4 (3³ − 3)) = 15 / 16.
    test = friedman(problems.after_a_query(a=A, b=B, c=[*C[:3], B[3]]))
    assert test.statistic == pytest.approx(7.125 * 16 / 15)
    assert test.mean_ranks == {"a": 1, "b": 8.5 / 4, "c": 11.5 / 4}


def test_areas_that_are_equal_tie_despite_rounding():
    num_labeled, one, other = range(10, 15), [0.5, 0.5, 0.6, 0.7, 0.5], [0.5, 0.6, 0.5, 0.7, 0.5]
    assert area_under_curve(num_labeled, one) != area_under_curve(num_labeled, other)
    test = friedman(problems.curves(num_labeled, a=[one] * 4, b=[other] * 4, c=[one] * 4))
    assert (test.statistic, test.p) == (0, 1)
    assert test.mean_ranks == {"a": 2, "b": 2, "c": 2}


def test_only_the_ranks_within_a_block_matter():
    before = friedman(problems.after_a_query(a=A, b=B, c=C))
    shift = np.array([0, -0.5, -0.3, 0.05])
    after = friedman(problems.after_a_query(a=A + shift, b=B + shift, c=C + shift))
    assert before == after


def test_a_block_is_a_seed_or_a_cycle_of_a_seed():
    # By area a is first for both seeds; by cycle it is first, second, first and third.
    problem = problems.curves(
        [10, 20, 30],
        a=[[0.5, 0.9, 0.7], [0.5, 0.9, 0.6]],
        b=[[0.5, 0.6, 0.8], [0.5, 0.6, 0.7]],
        c=[[0.5, 0.5, 0.5], [0.5, 0.5, 0.8]],
    )
    by_area, by_cycle = friedman(problem), friedman(problem, unit="cycle")
    assert (by_area.n, by_cycle.n) == (2, 4)
    assert by_area.mean_ranks == {"a": 1, "b": 2, "c": 3}
    assert by_cycle.mean_ranks == {"a": 7 / 4, "b": 7 / 4, "c": 10 / 4}


def test_blocks_of_several_data_sets_are_pooled_in_any_order_of_their_strategies():
    first = problems.after_a_query(a=A[:2], b=B[:2], c=C[:2])
    second = problems.after_a_query(c=C[2:], a=A[2:], b=B[2:])
    together = friedman(problems.after_a_query(a=A, b=B, c=C))
    assert friedman({"mnist": first, "svhn": second}) == together


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        ({"a": A, "b": B}, "at least three strategies, got a, b"),
        ({"a": A[:1], "b": B[:1], "c": C[:1]}, "at least two blocks, got 1"),
    ],
)
def test_too_few_strategies_or_blocks_are_refused(accuracy, message):
    with pytest.raises(ValueError, match=message):
        friedman(problems.after_a_query(**accuracy))
