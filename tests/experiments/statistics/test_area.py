from __future__ import annotations

import numpy as np
import pytest

from experiments.statistics import area_under_curve


def test_the_area_is_that_of_its_trapezoids():
    # (0.5 + 0.7) / 2 · 10 + (0.7 + 0.9) / 2 · 20 = 6 + 16 = 22, over 30 labels.
    assert area_under_curve([10, 20, 40], [0.5, 0.7, 0.9]) == pytest.approx(22 / 30)


def test_the_area_under_a_constant_is_the_constant():
    assert area_under_curve([1, 5, 100], [0.3, 0.3, 0.3]) == pytest.approx(0.3)


def test_a_straight_line_has_the_same_area_on_any_grid():
    grids = [[10, 50], [10, 11, 12, 50], [10, 30, 50]]
    areas = [area_under_curve(grid, np.array(grid) / 100) for grid in grids]
    np.testing.assert_allclose(areas, 0.3)


def test_there_is_one_area_a_seed():
    areas = area_under_curve([10, 20], [[0.1, 0.3], [0.5, 0.9], [0, 1]])
    np.testing.assert_allclose(areas, [0.2, 0.7, 0.5])


@pytest.mark.parametrize(
    ("num_labeled", "accuracy", "message"),
    [
        ([10], [[0.5]], "at least two numbers of labels"),
        ([20, 10], [[0.5, 0.6]], "ascending"),
        ([10, 20, 30], [[0.5, 0.6]], "must have 3 columns"),
        ([10, 20], [[0.5, np.nan]], "accuracy has 1 NaN"),
        ([10, np.inf], [[0.5, 0.6]], "num_labeled has 1 NaN or infinite"),
    ],
)
def test_curves_without_an_area_are_refused(num_labeled, accuracy, message):
    with pytest.raises(ValueError, match=message):
        area_under_curve(num_labeled, accuracy)
