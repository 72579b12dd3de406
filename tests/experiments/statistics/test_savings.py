from __future__ import annotations

import dataclasses
import functools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.statistics import Curves, labels_saved
from tests.experiments.statistics import problems

N = np.array([100, 200, 300, 400, 500])
saved_of = functools.partial(labels_saved, num_resamples=500)


def lines(strategy, random=N / 1000, num_seeds=3):
    """The same curves for every seed."""
    return problems.curves(N, mlmoc=[strategy] * num_seeds, random=[random] * num_seeds)


def test_twice_the_slope_saves_half_of_the_labels():
    saved = saved_of(lines(N / 500), "mlmoc")
    reached = N <= 250
    np.testing.assert_allclose(saved.saved[reached], N[reached])
    np.testing.assert_allclose(saved.fraction[reached], 0.5)
    np.testing.assert_array_equal(saved.at_least, ~reached)
    # From 300 labels on it has more than the baseline has at 500.
    np.testing.assert_array_equal(saved.saved[~reached], [200, 100, 0])
    np.testing.assert_allclose(saved.fraction[~reached], [2 / 5, 1 / 5, 0])


@pytest.mark.parametrize("shift", [30, 50, -50])
def test_a_curve_that_is_shifted_saves_the_shift(shift):
    saved = saved_of(lines((N + shift) / 1000), "mlmoc")
    inside = slice(None, -1) if shift > 0 else slice(1, None)
    for saves in (saved.saved, saved.low, saved.high):
        np.testing.assert_allclose(saves[inside], shift)
    np.testing.assert_allclose(saved.fraction[inside], shift / (N + shift)[inside])


def test_a_rising_curve_saves_nothing_against_itself():
    saved = saved_of(lines(N / 1000), "random")
    for saves in (saved.saved, saved.low, saved.high, saved.fraction):
        np.testing.assert_allclose(saves, 0, atol=1e-9)
    assert not saved.at_least.any()
    assert not saved.at_most.any()


def test_the_baseline_keeps_what_it_has_reached_once():
    random = [[0.5, 0.7, 0.6, 0.8]]
    problem = problems.curves([10, 20, 30, 40], mlmoc=[[0.75, 0.7, 0.7, 0.6]], random=random)
    # It has 0.75 halfway from 0.7, held until 30 labels, to 0.8 at 40; 0.7 at 20; 0.6 at 15.
    np.testing.assert_allclose(saved_of(problem, "mlmoc").saved, [25, 0, -10, -25])


def test_the_strategy_itself_may_lose_what_it_had():
    saved = saved_of(lines([0.1, 0.4, 0.3, 0.4, 0.5]), "mlmoc")
    np.testing.assert_allclose(saved.saved, [0, 200, 0, 0, 0], atol=1e-9)


def test_less_than_the_baseline_had_at_first_is_an_upper_bound():
    saved = saved_of(lines([0.1, 0.05, 0.3, 0.4, 0.5]), "mlmoc")
    assert saved.at_most.tolist() == [False, True, False, False, False]
    assert not saved.at_least.any()
    # The baseline needs between none and 100 labels.
    assert (saved.saved[1], saved.low[1], saved.high[1]) == (-100, -200, -100)
    assert (saved.fraction[1], saved.fraction_low[1]) == (-1, -np.inf)


def test_the_upper_end_is_unknown_where_the_baseline_falls_short():
    saved = saved_of(lines(N / 500), "mlmoc")
    assert (saved.low[3], saved.high[3], saved.fraction_high[3]) == (100, np.inf, 1)


def test_the_interval_is_that_of_the_seeds_drawn_with_replacement():
    # Two seeds that save 10 and 30 labels. Of the four draws, one saves 10, two save 20, one 30.
    problem = problems.curves(N, mlmoc=[(N + 10) / 1000, (N + 30) / 1000], random=[N / 1000] * 2)
    inside = slice(None, -1)
    wide, narrow = (saved_of(problem, "mlmoc", confidence=c) for c in (0.6, 0.3))
    np.testing.assert_allclose(wide.saved[inside], 20)
    np.testing.assert_allclose(wide.low[inside], 10)
    np.testing.assert_allclose(wide.high[inside], 30)
    np.testing.assert_allclose([narrow.low[inside], narrow.high[inside]], 20)


def test_seeds_are_drawn_for_both_strategies_together():
    # Seeds differ much, but within each the strategy saves 50 labels.
    levels = np.array([0, 0.1, 0.3])[:, None]
    problem = problems.curves(N, mlmoc=levels + (N + 50) / 1000, random=levels + N / 1000)
    saved = saved_of(problem, "mlmoc")
    np.testing.assert_allclose([saved.low[:-1], saved.high[:-1]], 50)
    crossed = Curves(N, [0, 1, 2], {**problem.accuracy, "mlmoc": problem.of("mlmoc")[::-1]})
    apart = saved_of(crossed, "mlmoc")
    np.testing.assert_allclose(apart.saved, saved.saved)
    assert (apart.low[1:-1] < 0).all()


def test_accuracies_that_are_equal_are_reached_despite_rounding():
    own = np.array([0.1, 0.2, 0.3])
    other = own + 1e-15  # as far as means over seeds differ with the order of their terms
    for strategy, baseline in [(own, other), (other, own)]:
        columns = {"mlmoc": strategy[:, None], "random": baseline[:, None]}
        repeated = {name: np.tile(column, 2) for name, column in columns.items()}
        saved = saved_of(problems.curves([10, 20], **repeated), "mlmoc")
        np.testing.assert_array_equal(saved.saved, [0, -10])
        assert not saved.at_least.any()
        assert not saved.at_most.any()


def test_with_one_seed_the_interval_is_unknown():
    saved = saved_of(lines((N + 50) / 1000, num_seeds=1), "mlmoc")
    np.testing.assert_allclose(saved.saved[:-1], 50)
    for unknown in (saved.low, saved.high, saved.fraction_low, saved.fraction_high):
        assert np.isnan(unknown).all()


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(problems.random_curves(), st.integers(0, 99))
def test_the_same_seeds_in_any_order_give_the_same_result(problem, seed):
    before = dataclasses.asdict(saved_of(problem, "a"))
    for again in (problem, problems.permuted(problem, seed)):
        after = dataclasses.asdict(saved_of(again, "a"))
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(problems.random_curves())
def test_savings_are_those_of_a_search_among_ever_more_labels(problem):
    saved = saved_of(problem, "a", num_resamples=1)
    fine = np.linspace(problem.num_labeled[0], problem.num_labeled[-1], 20_001)
    best = np.maximum.accumulate(problem.of("random").mean(0))
    on_fine = np.interp(fine, problem.num_labeled, best)
    step = fine[1] - fine[0]
    for i, target in enumerate(problem.of("a").mean(0)):
        if target > best[-1] + 1e-9:
            assert saved.at_least[i]
        else:
            needed = fine[np.argmax(on_fine >= target - 1e-9)]
            assert saved.saved[i] == pytest.approx(needed - problem.num_labeled[i], abs=2 * step)
            assert saved.at_most[i] == (target < best[0] - 1e-9)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(problems.random_curves(), st.floats(-0.4, 0.2))
def test_a_constant_in_both_curves_changes_nothing(problem, constant):
    shifted = {name: own + constant for name, own in problem.accuracy.items()}
    before = saved_of(problem, "a")
    after = saved_of(Curves(problem.num_labeled, problem.seeds, shifted), "a")
    for name in ("saved", "at_least", "at_most"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-6)


def test_another_key_draws_other_resamples():
    rng = np.random.default_rng(0)
    noisy = np.sort(rng.random((2, 6, 5)), axis=-1)
    problem = problems.curves(N, mlmoc=noisy[0], random=noisy[1])
    one, other = (saved_of(problem, "mlmoc", key=key) for key in (0, 1))
    np.testing.assert_array_equal(one.saved, other.saved)
    assert (one.low != other.low).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": "emoc"}, "unknown strategy 'emoc'; known: mlmoc, random"),
        ({"baseline": "rand"}, "unknown strategy 'rand'; known: mlmoc, random"),
        ({"confidence": 95}, "confidence must be above 0"),
        ({"num_resamples": 0}, "num_resamples must be at least 1"),
        ({"curves": lines(N / 500).select(max_labels=100)}, "at least two numbers of labels"),
    ],
)
def test_what_has_no_answer_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        labels_saved(**{"curves": lines(N / 500), "strategy": "mlmoc", **change})
