from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.probcover import greedy_cover, pure_radius
from tests.acquisition.points import SEEDS, brute_squared, everything, line, points

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def test_the_radius_of_pure_balls_on_a_line():
    x, classes = line(0, 1, 3, 4), np.array([0, 0, 1, 1])
    # The nearest points of the other class are at 3, 2, 2 and 3.
    assert pure_radius(x, classes, 1.0) == pytest.approx(2**2)
    assert pure_radius(x, classes, 0.5) == pytest.approx(3**2)
    assert pure_radius(x, np.zeros(4, int)) == np.inf


@SEEDS
def test_the_radius_is_the_largest_at_which_95_percent_of_the_balls_are_pure(seed):
    x = points(60, seed)
    classes = (x[:, 0] > 0.3).astype(int)

    def purity(squared_radius):
        inside = brute_squared(x, x) < squared_radius
        return np.mean([len(set(classes[ball])) == 1 for ball in inside])

    radius = pure_radius(x, classes)
    assert purity(radius) >= 0.95
    assert purity(radius * 1.000001) < 0.95


def test_probcover_on_a_line():
    x = line(0, 1, 2, 10, 11, 20)
    rows, gains = greedy_cover(
        x,
        covered=np.zeros(6, bool),
        squared_radius=1.5**2,
        **everything(6, 3) | {"tie_breaks": np.arange(6) / 6},
    )
    assert gains.tolist() == [2, 3, 2, 2, 2, 1]
    assert rows.tolist() == [1, 4, 5]  # 10 and 11 tie


@SEEDS
def test_probcover_covers_most_of_what_is_uncovered_at_every_step(seed):
    x, labeled = points(15, seed), points(2, seed + 10)
    squared_radius = 0.8**2
    covered = brute_squared(x, labeled).min(1) < squared_radius
    arguments = everything(15, 15)
    arguments["available"][[3, 4]] = False
    arguments["k"] = 13
    rows, gains = greedy_cover(
        x, covered=covered.copy(), squared_radius=squared_radius, **arguments
    )
    balls = brute_squared(x, x) < squared_radius
    np.testing.assert_array_equal(gains, (balls & ~covered).sum(1))
    left = arguments["available"].copy()
    for row in rows:
        step_gains = np.where(left, (balls & ~covered).sum(1), -1)
        assert step_gains[row] == step_gains.max()
        tied = np.flatnonzero(step_gains == step_gains.max())
        assert row == tied[arguments["tie_breaks"][tied].argmax()]
        covered |= balls[row]
        left[row] = False


def test_a_ball_of_radius_zero_covers_the_copies_of_its_center():
    x = line(0, 0, 0, 1)
    rows, gains = greedy_cover(x, covered=np.zeros(4, bool), squared_radius=0.0, **everything(4, 4))
    assert gains.tolist() == [3, 3, 3, 1]
    assert rows[1] == 3
