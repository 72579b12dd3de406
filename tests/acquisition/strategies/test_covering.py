"""Strategies that spread labels over a space of features, on plain arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.coverage import greedy_coverage
from ntk_al.acquisition.strategies.coreset import k_center_greedy
from ntk_al.acquisition.strategies.lcmd import Clusters, largest_cluster_farthest
from ntk_al.acquisition.strategies.probcover import greedy_cover, pure_radius
from ntk_al.acquisition.strategies.typiclust import mean_distances, most_typical
from ntk_al.acquisition.strategies.uherding import margin_uncertainty, smallest_distance

SEEDS = pytest.mark.parametrize("seed", range(4))


@pytest.fixture(autouse=True, params=[2**22, 7], ids=["one tile", "many tiles"])
def tile_entries(request, monkeypatch):
    """Everything is tested in one tile, and in tiles of a row or two."""
    monkeypatch.setattr(geometry, "_TILE_ENTRIES", request.param)


def line(*numbers):
    return np.array(numbers, float)[:, None]


def points(num, seed, dimension=2):
    return np.random.default_rng(seed).normal(size=(num, dimension))


def brute_squared(points1, points2):
    return np.square(points1[:, None] - points2).sum(2)


def everything(num, k, seed=0):
    """Keywords of a choice of k among num points, all of them available."""
    ties = np.random.default_rng([seed, 99]).random(num)
    return {"available": np.ones(num, bool), "k": k, "tie_breaks": ties}


# Geometry


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


# Core-set


def to_labeled(features, labeled):
    return geometry.nearest(features, labeled)[0]


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


# LCMD


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


# ProbCover


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


# Herding


def coverage(x, weights, labeled, radius, chosen):
    """Σ_x weight(x) max_{x'} k(x, x') / U, one kernel at a time."""
    centers = np.concatenate([labeled, x[list(chosen)]])
    kernel = np.exp(-brute_squared(x, centers) / radius**2)
    return (weights * kernel.max(1)).sum() / len(x)


@SEEDS
@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0])
def test_herding_adds_most_to_the_coverage_at_every_step(seed, radius):
    x, labeled = points(40, seed), points(2, seed + 10)
    weights = np.random.default_rng(seed).random(40) if seed else np.ones(40)
    arguments = everything(40, 12)
    arguments["available"][[3, 4]] = False
    rows, utilities = greedy_coverage(
        x, weights, to_labeled(x, labeled), radius=radius, **arguments
    )
    allowed = set(np.flatnonzero(arguments["available"]))
    before = coverage(x, weights, labeled, radius, [])
    for row in range(40):
        gain = coverage(x, weights, labeled, radius, [row]) - before
        assert utilities[row] == pytest.approx(gain, abs=1e-12)
    for step, row in enumerate(rows):
        values = {
            other: coverage(x, weights, labeled, radius, [*rows[:step], other])
            for other in allowed - set(rows[:step].tolist())
        }
        # Two points that are near to each other alone tie, if both have one weight.
        largest = [r for r in values if values[r] > max(values.values()) - 1e-13]
        assert row == max(largest, key=lambda r: arguments["tie_breaks"][r])


def test_herding_on_two_copies_and_a_far_point():
    x = line(0, 0, 5)
    rows, gains = greedy_coverage(
        x,
        np.ones(3),
        np.full(3, np.inf),
        radius=1.0,
        **everything(3, 3) | {"tie_breaks": np.array([0.1, 0.2, 0.0])},
    )
    np.testing.assert_allclose(gains, [2 / 3, 2 / 3, 1 / 3], atol=1e-10)
    assert rows.tolist() == [1, 2, 0]


def test_herding_needs_few_gains_of_the_second_and_later_steps(monkeypatch):
    """Bounds spare most of the work: the reason for them."""
    x = points(300, 0, dimension=3)
    seen = []
    plain = geometry.squared_distances
    monkeypatch.setattr(
        geometry, "squared_distances", lambda a, b: seen.append(len(a)) or plain(a, b)
    )
    greedy_coverage(x, np.ones(300), np.full(300, np.inf), radius=0.5, **everything(300, 9))
    assert sum(seen) - 300 < 300 * 8 / 2


def test_points_without_weight_need_no_cover():
    x = line(0, 0.1, 5)
    arguments = everything(3, 1)
    rows, _ = greedy_coverage(
        x, np.array([0.0, 0.0, 0.1]), np.full(3, np.inf), radius=1.0, **arguments
    )
    assert rows.tolist() == [2]


def test_margin_uncertainty_by_hand_and_where_nothing_is_left_of_it():
    logits = np.log([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]])
    np.testing.assert_allclose(margin_uncertainty(logits), [0.9, 0.6])
    np.testing.assert_allclose(
        margin_uncertainty(np.array([[50.0, 0.0]])), 2 * np.exp(-50), rtol=1e-12
    )


def test_the_smallest_distance_is_between_different_points():
    assert smallest_distance(line(0, 0, 3, 5)) == pytest.approx(2)
    assert smallest_distance(line(1, 1)) == np.inf


# TypiClust


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


# All of them


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
