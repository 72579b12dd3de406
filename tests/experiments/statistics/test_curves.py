from __future__ import annotations

import numpy as np
import pytest

from experiments.statistics import Curves
from tests.experiments.statistics import problems

GOOD = {
    "num_labeled": [10, 20, 30],
    "seeds": [3, 5],
    "accuracy": {
        "random": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
        "mlmoc": [[0.1, 0.3, 0.5], [0.4, 0.6, 0.8]],
    },
}


def test_curves_hold_a_float64_copy_of_what_they_are_given():
    accuracy = np.array([[0.25, 0.5]], np.float32)
    curves = Curves([1, 2], [0], {"random": accuracy})
    accuracy[:] = 0
    assert curves.of("random").dtype == np.float64
    np.testing.assert_array_equal(curves.of("random"), [[0.25, 0.5]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_labeled": [10, 30, 20]}, "ascend"),
        ({"num_labeled": [10, 20, 20]}, "ascend"),
        ({"num_labeled": [0, 10, 20]}, "positive"),
        ({"num_labeled": [10.5, 20, 30]}, "num_labeled must be a list of integers"),
        ({"num_labeled": []}, "num_labeled must be a list of integers, at least one"),
        ({"num_labeled": [10, 20]}, r"'random' must have shape \(2, 2\)"),
        ({"seeds": [3, 3]}, "seeds must be different"),
        ({"seeds": [3]}, r"'random' must have shape \(1, 3\)"),
        ({"seeds": []}, "seeds must be a list of integers, at least one"),
        ({"accuracy": {}}, "at least one strategy"),
        ({"accuracy": {"random": [[0.1, 0.2, np.nan], [0, 0, 0]]}}, "'random' has 1 NaN"),
        ({"accuracy": {"random": [[10, 20, 30], [40, 50, 60]]}}, "fraction in"),
        ({"accuracy": {"random": [[-0.1, 0, 0], [0, 0, 0]]}}, "fraction in"),
    ],
)
def test_curves_that_make_no_sense_are_refused(change, message):
    Curves(**GOOD)
    with pytest.raises(ValueError, match=message):
        Curves(**{**GOOD, **change})


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown strategy 'mloc'; known: mlmoc, random"):
        Curves(**GOOD).of("mloc")


def test_a_selection_keeps_what_was_asked_for_in_its_order():
    selected = Curves(**GOOD).select(["mlmoc"], seeds=[5, 3], max_labels=25)
    assert selected.strategies == ("mlmoc",)
    assert selected.seeds.tolist() == [5, 3]
    assert selected.num_labeled.tolist() == [10, 20]
    np.testing.assert_array_equal(selected.of("mlmoc"), [[0.4, 0.6], [0.1, 0.3]])


def test_a_selection_of_everything_changes_nothing():
    before, after = Curves(**GOOD), Curves(**GOOD).select()
    assert before.strategies == after.strategies
    for name in before.strategies:
        np.testing.assert_array_equal(before.of(name), after.of(name))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"strategies": ["entropy"]}, "unknown strategy 'entropy'; known: mlmoc, random"),
        ({"strategies": []}, "at least one strategy"),
        ({"seeds": [3, 4]}, r"unknown seeds \[4\]; known: \[3, 5\]"),
        ({"seeds": []}, "at least one"),
        ({"max_labels": 9}, "max_labels must be at least 10"),
    ],
)
def test_a_selection_of_what_is_not_there_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        Curves(**GOOD).select(**asked)


def test_the_first_number_of_labels_alone_can_be_selected():
    assert problems.curves([10, 20], random=[[0.1, 0.2]]).select(max_labels=10).num_labeled == [10]
