from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.statistics import penalty_matrix
from tests.experiments.statistics import problems

B = np.array([[0.5, 0.60, 0.70], [0.5, 0.65, 0.75], [0.5, 0.62, 0.71]])
# A beats B at the second number of labels (t = 11 √3 > 4.303), and not at the third.
A = B + np.array([[0, 0.10, 0.10], [0, 0.11, -0.10], [0, 0.12, 0.05]])


def test_a_win_counts_one_over_the_number_of_budgets_of_its_data_set():
    first = problems.curves([10, 20, 30], a=A, b=B, c=B)
    # Here b and c beat a at the only number of labels after the first.
    second = problems.curves([5, 9], a=B[:, :2], b=A[:, :2], c=A[:, :2])
    penalty = penalty_matrix({"mnist": first, "svhn": second})
    assert penalty.strategies == ("a", "b", "c")
    np.testing.assert_array_equal(penalty.matrix, [[0, 1 / 2, 1 / 2], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(penalty.column_means, [2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize(("spread", "wins"), [(0.0100, 1), (0.0102, 0)])
def test_with_five_seeds_a_win_is_a_t_score_above_2_776(spread, wins):
    # The differences 0.02 + spread (−2, ..., 2) have s² = 2.5 spread², so t = 0.02 √2 / spread:
    # 2.828 and 2.773. BADGE has five seeds and this critical value.
    base = np.linspace(0.5, 0.7, 5)
    problem = problems.after_a_query(a=base + 0.02 + spread * np.arange(-2, 3), b=base)
    np.testing.assert_array_equal(penalty_matrix(problem).matrix, [[0, wins], [0, 0]])


def test_the_significance_decides_what_is_a_win():
    problem = problems.curves([10, 20, 30], a=A, b=B)
    # p = 1 − t / √(2 + t²) with two degrees of freedom: 0.0027 at 11 √3, and 0.81 at 0.28.
    wins = [penalty_matrix(problem, significance=s).matrix[0, 1] for s in (0.002, 0.003, 0.9)]
    assert wins == [0, 0.5, 1]


def test_equal_strategies_do_not_beat_each_other():
    assert not penalty_matrix(problems.curves([10, 20, 30], a=A, b=A)).matrix.any()


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(problems.random_curves(), st.integers(0, 99))
def test_at_most_one_of_two_wins_and_the_order_of_the_seeds_does_not_matter(problem, seed):
    # Few draws have significant wins at 0.05.
    penalty = penalty_matrix(problem, significance=0.4)
    assert (penalty.matrix + penalty.matrix.T <= 1).all()
    assert not penalty.matrix.diagonal().any()
    after = penalty_matrix(problems.permuted(problem, seed), significance=0.4)
    np.testing.assert_array_equal(penalty.matrix, after.matrix)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: penalty_matrix(problems.curves([1, 2], a=A[:1, :2])), "curves has one seed"),
        (
            lambda: penalty_matrix(problems.curves([1], a=A[:, :1])),
            "at least two numbers of labels",
        ),
        (lambda: penalty_matrix({}), "at least one data set"),
        (
            lambda: penalty_matrix(problems.curves([1, 2, 3], a=A), 5),
            "significance must be above 0",
        ),
    ],
)
def test_problems_without_a_test_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
