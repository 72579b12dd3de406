from __future__ import annotations

import itertools

import numpy as np
import pytest

from ntk_al.acquisition.strategies.coreset import k_center_greedy
from tests.acquisition.points import (
    SEEDS,
    brute_squared,
    everything,
    line,
    points,
    to_labeled,
)

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def test_coreset_on_a_line():
    x = line(1, 4, 9, 10)
    arguments = everything(4, 4) | {"tie_breaks": np.array([0.1, 0, 0.9, 0])}
    rows, distances = k_center_greedy(x, to_labeled(x, line(0)), **arguments)
    # 10 is farthest from 0; then 4 from {0, 10}; then 1 and 9 tie at distance 1.
    assert rows.tolist() == [3, 1, 2, 0]
    np.testing.assert_allclose(distances, [1, 4, 9, 10])


@SEEDS
def test_coreset_is_farthest_first(seed):
    x, labeled = points(12, seed), points(3, seed + 10)
    rows, _ = k_center_greedy(x, to_labeled(x, labeled), **everything(12, 12))
    for step, row in enumerate(rows):
        centers = np.concatenate([labeled, x[rows[:step]]])
        assert row == brute_squared(x, centers).min(1).argmax()


@SEEDS
def test_the_radius_of_coreset_is_at_most_twice_the_smallest(seed):
    x, labeled = points(9, seed), points(2, seed + 10)

    def radius(chosen):
        return np.sqrt(brute_squared(x, np.concatenate([labeled, x[list(chosen)]])).min(1).max())

    rows, _ = k_center_greedy(x, to_labeled(x, labeled), **everything(9, 3))
    assert radius(rows) <= 2 * min(radius(s) for s in itertools.combinations(range(9), 3))
