"""Strategies that spread labels over a space of features, on plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.features.coverage import greedy_coverage
from ntk_al.acquisition.strategies.coreset import k_center_greedy
from ntk_al.acquisition.strategies.lcmd import Clusters, largest_cluster_farthest
from ntk_al.acquisition.strategies.probcover import greedy_cover
from ntk_al.acquisition.strategies.typiclust import most_typical
from tests.acquisition.points import SEEDS, everything, line, points, to_labeled

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def choices(x, k, seed):
    """Every strategy on the same points, of which none is near a label."""
    arguments = everything(len(x), k, seed)
    far = np.full((1, x.shape[1]), 50.0)
    distances = to_labeled(x, far)
    return {
        "coreset": k_center_greedy(x, distances, **arguments),
        "lcmd": largest_cluster_farthest(x, Clusters.around(x, far), **arguments),
        "probcover": greedy_cover(
            x, covered=np.zeros(len(x), bool), squared_radius=0.3, **arguments
        ),
        "herding": greedy_coverage(x, np.ones(len(x)), distances, radius=1.0, **arguments),
        "typiclust": most_typical(
            x,
            np.arange(len(x)) % 2,
            np.zeros(1, int),
            np.append(np.arange(len(x)) % 2, 0),
            **arguments,
        ),
    }


@pytest.mark.parametrize("name", choices(line(0, 1), 1, 0))
def test_equal_points_are_all_chosen_once_and_by_the_tie_breaks(name):
    firsts = set()
    for seed in range(12):
        rows, utilities = choices(np.ones((6, 2)), 6, seed)[name]
        assert sorted(rows) == [0, 1, 2, 3, 4, 5]
        assert np.isfinite(utilities).all()
        firsts.add(int(rows[0]))
    assert len(firsts) >= 3


@pytest.mark.parametrize("name", choices(line(0, 1), 1, 0))
@SEEDS
def test_the_first_choice_has_the_largest_utility(name, seed):
    rows, utilities = choices(points(13, seed), 3, seed)[name]
    assert utilities[rows[0]] == pytest.approx(utilities.max())
