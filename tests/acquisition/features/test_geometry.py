from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.features import geometry
from tests.acquisition.points import SEEDS, brute_squared, points

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


@SEEDS
def test_squared_distances_and_nearest_centers_are_those_by_hand(seed):
    x, y = points(9, seed), points(5, seed + 10)
    expected = brute_squared(x, y)
    np.testing.assert_allclose(geometry.squared_distances(x, y), expected, atol=1e-13)
    squared, index = geometry.nearest(x, y)
    np.testing.assert_allclose(squared, expected.min(1), atol=1e-13)
    np.testing.assert_array_equal(index, expected.argmin(1))


def test_copies_are_at_distance_zero_even_after_rounding():
    x = 100 * points(50, 0, dimension=300)
    noisy = x * (1 + 1e-7 * np.random.default_rng(1).choice([-1, 1], x.shape))
    assert (np.diagonal(geometry.squared_distances(x, noisy)) == 0).all()
    assert (np.diagonal(geometry.squared_distances(x, x * (1 + 1e-4))) > 0).all()


def test_normalized_rows_have_length_one_and_zero_stays_zero():
    x = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(geometry.normalized(x), [[0.6, 0.8], [0, 0]])


def test_rounding_makes_ties_of_sums_in_another_order():
    values = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.5])
    assert values[0] != values[1]
    assert len(set(geometry.rounded(values))) == 2
