from __future__ import annotations

import dataclasses
import gc
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.statistics import (
    UNITS,
    Curves,
    friedman,
    paired_difference,
    table,
    tables,
    wilcoxon,
)
from tests.experiments.statistics import problems

BASE = np.array([0.6, 0.7, 0.8])
# Differences in hundredths, and their t = mean / (s / √3).
PROBLEM = problems.after_a_query(
    best=BASE,
    b=BASE - [0.01, 0.02, 0.03],  # t = 2 √3
    c=BASE - [0.02, 0.04, 0.09],  # mean 5, s² = (9 + 1 + 16) / 2 = 13, t = 5 √(3 / 13)
    d=BASE - [0.04, 0.05, 0.06],  # t = 5 √3
)


@pytest.fixture(autouse=True)
def without_garbage_collection(monkeypatch):
    """Holm's correction in statsmodels collects all garbage first, for a quarter of a second."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def p_with_two_degrees_of_freedom(t):
    return 1 - t / math.sqrt(2 + t**2)


def by_pair(result):
    return {(row.a, row.b): row for row in result.rows}


def test_holm_multiplies_the_smallest_p_by_the_number_of_rows_and_so_on():
    # 3 · 0.01, then 2 · 0.03, then 0.04, which may not be below the one before.
    assert tables._holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert tables._holm([0.5, 0.6]) == pytest.approx([1, 1])


def test_rows_hold_the_paired_t_test_and_its_correction_over_all_rows():
    result = table(PROBLEM, against="best")
    rows = {row.b: row for row in result.rows}
    p = {
        "b": p_with_two_degrees_of_freedom(2 * math.sqrt(3)),
        "c": p_with_two_degrees_of_freedom(5 * math.sqrt(3 / 13)),
        "d": p_with_two_degrees_of_freedom(5 * math.sqrt(3)),
    }
    assert p["d"] < p["b"] < p["c"]
    for name, row in rows.items():
        assert row.a == "best"
        assert row.p == pytest.approx(p[name])
        assert row.n == 3
    assert rows["d"].p_holm == pytest.approx(3 * p["d"])
    assert rows["b"].p_holm == pytest.approx(max(3 * p["d"], 2 * p["b"]))
    assert rows["c"].p_holm == pytest.approx(max(3 * p["d"], 2 * p["b"], p["c"]))
    # The area halves what happens at the second of two numbers of labels.
    assert rows["b"].difference == pytest.approx(0.01)
    assert rows["b"].high - 0.01 == pytest.approx(4.3026527 * 0.005 / math.sqrt(3))
    # Three positive differences: 2 of 8 signs are as extreme, three times corrected.
    assert [row.p_wilcoxon for row in result.rows] == pytest.approx([1 / 4] * 3)
    assert [row.p_wilcoxon_holm for row in result.rows] == pytest.approx([3 / 4] * 3)


def test_all_pairs_are_compared_unless_one_strategy_is_the_reference():
    pairs = [(row.a, row.b) for row in table(PROBLEM).rows]
    assert pairs == [
        ("best", "b"),
        ("best", "c"),
        ("best", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert [(row.a, row.b) for row in table(PROBLEM, against="c").rows] == [
        ("c", "best"),
        ("c", "b"),
        ("c", "d"),
    ]
    reference, every = by_pair(table(PROBLEM, against="c")), by_pair(table(PROBLEM))
    assert reference["c", "d"].p == every["c", "d"].p
    assert reference["c", "best"].difference == -every["best", "c"].difference
    # The p value of best and d is the smallest of its three, and the second smallest of all six.
    few = by_pair(table(PROBLEM, against="best"))
    p = few["best", "d"].p
    assert (few["best", "d"].p_holm, every["best", "d"].p_holm) == pytest.approx((3 * p, 5 * p))


@pytest.mark.parametrize("unit", UNITS)
def test_the_friedman_test_is_over_all_strategies(unit):
    result = table(PROBLEM, against="b", unit=unit)
    assert result.friedman == friedman(PROBLEM, unit)
    assert result.without_friedman is None
    assert result.unit == unit


def test_blocks_are_seeds_of_data_sets_or_their_cycles_after_the_first():
    rng = np.random.default_rng(0)
    first = problems.curves([10, 20, 30], **dict(zip("ab", rng.random((2, 3, 3)), strict=True)))
    second = problems.curves([5, 9], **dict(zip("ab", rng.random((2, 4, 2)), strict=True)))
    (by_area,) = table({"mnist": first, "svhn": second}).rows
    (by_cycle,) = table({"mnist": first, "svhn": second}, unit="cycle").rows
    assert (by_area.n, by_cycle.n) == (3 + 4, 3 * 2 + 4 * 1)
    cycles = {s: np.append(first.of(s)[:, 1:], second.of(s)[:, 1:]) for s in "ab"}
    expected = paired_difference(cycles["a"], cycles["b"])
    assert (by_cycle.difference, by_cycle.p) == pytest.approx((expected.mean, expected.p))
    assert by_cycle.p_wilcoxon == pytest.approx(wilcoxon(cycles["a"], cycles["b"]))


def test_cycles_that_say_the_same_count_as_new_evidence_but_areas_do_not():
    late = [[0.5, 0.61, 0.61, 0.61], [0.5, 0.62, 0.62, 0.62], [0.5, 0.66, 0.66, 0.66]]
    long = problems.curves([1, 2, 3, 4], a=late, b=np.minimum(late, 0.6))
    short = long.select(max_labels=2)
    (area_long,), (area_short,) = table(long).rows, table(short).rows
    (cycle_long,), (cycle_short,) = (table(curves, unit="cycle").rows for curves in (long, short))
    assert area_long.p == pytest.approx(area_short.p)
    assert cycle_long.p < cycle_short.p / 5


def test_one_data_set_is_the_same_with_a_name():
    assert table(PROBLEM) == table({"digits": PROBLEM})


def test_strategies_that_are_equal_differ_by_nothing_with_p_one():
    result = table(problems.after_a_query(a=BASE, b=BASE, c=BASE))
    assert (result.friedman.statistic, result.friedman.p) == (0, 1)
    for row in result.rows:
        assert (row.difference, row.low, row.high) == (0, 0, 0)
        assert {row.p, row.p_holm, row.p_wilcoxon, row.p_wilcoxon_holm} == {1}


def test_two_strategies_have_a_row_and_a_reason_for_no_friedman_test():
    result = table(PROBLEM.select(["best", "b"]))
    assert result.friedman is None
    assert "at least three strategies" in result.without_friedman
    (row,) = result.rows
    assert row.p_holm == row.p


@hypothesis.settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(problems.random_curves(), st.integers(0, 99), st.sampled_from(sorted(UNITS)))
def test_the_order_of_the_seeds_does_not_matter(problem, seed, unit):
    before = table(problem, unit=unit)
    after = table(problems.permuted(problem, seed), unit=unit)
    assert before.friedman.statistic == pytest.approx(after.friedman.statistic)
    for one, other in zip(before.rows, after.rows, strict=True):
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: table(PROBLEM, against="random"),
            "unknown strategy 'random'; known: b, best, c, d",
        ),
        (lambda: table(PROBLEM, unit="seed"), "unknown unit 'seed'; known: area, cycle"),
        (lambda: table(PROBLEM, confidence=1), "confidence must be above 0 and below 1"),
        (lambda: table(PROBLEM.select(["b"])), "at least two strategies, got b only"),
        (lambda: table(PROBLEM.select(seeds=[0])), "at least two blocks, got 1"),
        (lambda: table(PROBLEM.select(max_labels=10)), "at least two numbers of labels"),
        (lambda: table(PROBLEM.select(max_labels=10), unit="cycle"), "no strategy has queried"),
        (lambda: table({}), "at least one data set"),
        (
            lambda: table({"mnist": PROBLEM, "svhn": PROBLEM.select(["best", "c"])}),
            "svhn lacks b, d: keep those that all have",
        ),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_seed_on_each_of_two_data_sets_is_two_blocks():
    one = Curves([10, 20], [0], {"a": [[0.5, 0.8]], "b": [[0.5, 0.6]]})
    other = Curves([10, 30], [7], {"a": [[0.3, 0.7]], "b": [[0.3, 0.3]]})
    (row,) = table({"mnist": one, "svhn": other}).rows
    # Areas differ by 0.1 and 0.2: t = 3 with one degree of freedom.
    assert row.p == pytest.approx(1 - 2 / math.pi * math.atan(3))
