from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.coreset import k_center_greedy
from ntk_al.acquisition.strategies.lcmd import Clusters, largest_cluster_farthest
from tests.acquisition.points import (
    SEEDS,
    brute_squared,
    everything,
    line,
    points,
    to_labeled,
)

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def test_lcmd_on_a_line():
    x, labeled = line(1, 2, 3, 90), line(0, 100)
    rows, utilities = largest_cluster_farthest(
        x,
        Clusters.around(x, labeled),
        **everything(4, 4) | {"tie_breaks": np.array([0.9, 0, 0, 0])},
    )
    # Sums 14 and 100: 90; then 3; then 1 and 2 tie, each alone at distance 1 from 0 and from 3.
    assert rows.tolist() == [3, 2, 0, 1]
    np.testing.assert_allclose(utilities, [-99, -96, -91, 100])


def test_lcmd_prefers_a_large_cluster_to_the_farthest_point():
    x, labeled = line(-5, -5.5, 5, 5.6, 91), line(0, 100)
    rows, _ = largest_cluster_farthest(x, Clusters.around(x, labeled), **everything(5, 1))
    assert rows.tolist() == [3]
    farthest, _ = k_center_greedy(x, to_labeled(x, labeled), **everything(5, 1))
    assert farthest.tolist() == [4]


@SEEDS
def test_lcmd_is_the_farthest_point_of_the_largest_cluster(seed):
    x, labeled = points(12, seed), points(3, seed + 10)
    rows, _ = largest_cluster_farthest(x, Clusters.around(x, labeled), **everything(12, 11))
    for step, row in enumerate(rows):
        squared = brute_squared(x, np.concatenate([labeled, x[rows[:step]]]))
        cluster, distance = squared.argmin(1), squared.min(1)
        largest = max(set(cluster), key=lambda c: distance[cluster == c].sum())
        members = np.flatnonzero(cluster == largest)
        assert row == members[distance[members].argmax()]
