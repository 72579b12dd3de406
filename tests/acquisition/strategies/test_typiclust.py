from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.typiclust import mean_distances, most_typical
from tests.acquisition.points import brute_squared, everything, line, points

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def test_mean_distances_are_over_the_nearest_others():
    x = points(11, 0)
    distances = np.sort(np.sqrt(brute_squared(x, x)), axis=1)[:, 1:]
    np.testing.assert_allclose(mean_distances(x, 3), distances[:, :3].mean(1))
    np.testing.assert_allclose(mean_distances(x, 20), distances[:, :5].mean(1))
    assert mean_distances(x[:1], 20).tolist() == [0]
    np.testing.assert_allclose(mean_distances(line(0, 3), 20), [3, 3])


def typical(features, clusters, labels, k, **options):
    clusters, labels = np.array(clusters), np.array(labels, int)
    return most_typical(
        features,
        clusters,
        labels,
        np.concatenate([labels, clusters]),
        **everything(len(features), k),
        largest_small_cluster=options.pop("largest_small_cluster", 0),
        **options,
    )


def test_typiclust_takes_the_densest_point_of_the_largest_cluster_without_a_label():
    x = line(0, 1, 1.4, 3, 10, 12, 12.5, 20, 21, 21.1, 21.2, 30)
    clusters = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    rows, utilities = typical(x, clusters, [2], 2, num_neighbors=1)
    # Cluster 2 is the largest and has a label. In 0, points 1 and 2 tie; in 1, points 5 and 6.
    assert rows[0] in (1, 2)
    assert rows[1] in (5, 6)
    np.testing.assert_allclose(utilities[:4], [1 / 2, 1 / 1.4, 1 / 1.4, 1 / 2.6])
    np.testing.assert_allclose(utilities[4:7], np.array([1 / 3, 1 / 1.5, 1 / 1.5]) - 1)
    assert utilities[7:].max() <= -1
    rows, _ = typical(x, clusters, [2], 1, num_neighbors=2)
    assert rows.tolist() == [1]  # mean distances 1.2, 0.7, 0.9, 1.8


def test_typiclust_goes_through_the_clusters_again_where_there_are_few():
    x = line(0, 0.1, 0.3, 10, 10.1)
    rows, _ = typical(x, [0, 0, 0, 1, 1], [], 5)
    assert [int(r > 2) for r in rows] == [0, 1, 0, 1, 0]
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_small_clusters_come_last():
    x = line(0, 1, 2, 3, 10, 20, 21)
    clusters = [0, 0, 0, 0, 1, 2, 2]
    rows, _ = typical(x, clusters, [0, 0, 0], 7, largest_small_cluster=2)
    assert set(rows[:4]) == {0, 1, 2, 3}
    assert set(rows[4:6]) == {4, 5} or set(rows[4:6]) == {4, 6}


def test_clusters_are_ordered_by_their_labels_and_then_by_their_size():
    x = line(0, 10, 11, 20, 21, 22, 30)
    rows, _ = typical(x, [0, 1, 1, 2, 2, 2, 3], [0, 2, 3, 3], 4)
    # Labels 1, 0, 1, 2; points, labeled ones included, 2, 2, 4, 3.
    clusters = [0 if r == 0 else 1 if r < 3 else 2 if r < 6 else 3 for r in rows]
    assert clusters == [1, 2, 0, 3]
