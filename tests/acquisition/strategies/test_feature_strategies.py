"""What strategies on features take from a query; their algorithms are tested on plain arrays."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from ntk_al import kernels
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.acquisition.features import clustering, feature_space, geometry
from ntk_al.acquisition.strategies.lcmd import _sketched
from ntk_al.acquisition.strategies.maxherding import RADIUS
from ntk_al.acquisition.strategies.typiclust import LARGEST_SMALL_CLUSTER
from tests import helpers

U = 11
KEY = jax.random.key(3)
EVERY = pytest.mark.parametrize(
    "name",
    ["badge", "bait", "coreset", "lcmd", "maxherding", "probcover", "typiclust", "uherding"],
)


def candidates(**changes):
    return CandidateSet(
        **{
            "network": helpers.network(),
            "x_labeled": helpers.images(6, seed=1),
            "y_labeled": helpers.labels(6, seed=1),
            "x": helpers.images(U, seed=2),
            "ids": 40 + 7 * np.arange(U)[::-1],
            **changes,
        }
    )


def known_before(given, *rows):
    """The same query, in which some candidates were labeled before it."""
    left = np.setdiff1d(np.arange(U), rows)
    return candidates(
        x_labeled=np.concatenate([given.x_labeled, given.x[list(rows)]]),
        y_labeled=np.concatenate([given.y_labeled, np.zeros(len(rows), np.int32)]),
        x=given.x[left],
        ids=given.ids[left],
    )


@pytest.mark.parametrize("name", ["coreset", "lcmd", "maxherding", "typiclust"])
def test_a_row_labeled_within_the_query_counts_as_one_labeled_before(name):
    given = candidates()
    within = STRATEGIES[name](KEY, given.observe(2, 0).observe(5, 0), 4)
    before = STRATEGIES[name](KEY, known_before(given, 2, 5), 4)
    if name != "typiclust":  # whose k-means starts from points in another order
        np.testing.assert_array_equal(within.ids, before.ids)
    left = np.setdiff1d(np.arange(U), [2, 5])
    if name == "maxherding":  # a mean over candidates, of which there are fewer
        before = dataclasses.replace(before, utilities=before.utilities * len(left) / U)
    if name in ("coreset", "maxherding"):
        np.testing.assert_allclose(within.utilities[left], before.utilities, rtol=1e-5)
    assert not {2, 5} & {list(given.ids).index(i) for i in within.ids}


@EVERY
def test_what_was_computed_for_one_call_changes_no_other(name):
    used = candidates()
    for k in (1, 5):
        STRATEGIES[name](jax.random.key(8), used, k)
    used = used.observe(4, 1)
    STRATEGIES[name](jax.random.key(9), used, 2)
    fresh = STRATEGIES[name](KEY, candidates().observe(4, 1), 5)
    again = STRATEGIES[name](KEY, used, 5)
    np.testing.assert_array_equal(again.ids, fresh.ids)
    np.testing.assert_array_equal(again.utilities, fresh.utilities)


@EVERY
def test_a_single_choice_has_the_highest_utility(name):
    for seed in range(3):
        selection = STRATEGIES[name](jax.random.key(seed), candidates(), 1)
        row = list(candidates().ids).index(selection.ids[0])
        assert selection.utilities[row] == pytest.approx(selection.utilities.max(), rel=1e-9)


@EVERY
def test_tiles_change_no_choice(name, monkeypatch):
    expected = STRATEGIES[name](KEY, candidates(), 5)
    monkeypatch.setattr(geometry, "_TILE_ENTRIES", 5)
    tiled = STRATEGIES[name](KEY, candidates(), 5)
    np.testing.assert_array_equal(tiled.ids, expected.ids)
    np.testing.assert_allclose(tiled.utilities, expected.utilities, rtol=1e-9, atol=1e-9)


def test_sketches_are_made_once_for_a_query_and_their_products_are_the_kernel(monkeypatch):
    calls, plain = [], kernels.sketch
    monkeypatch.setattr(kernels, "sketch", lambda *a, **b: calls.append(1) or plain(*a, **b))
    given = candidates()
    STRATEGIES["lcmd"](KEY, given, 3)
    STRATEGIES["lcmd"](jax.random.key(1), given.observe(0, 0), 3)
    assert len(calls) == 2  # labeled points and candidates
    sketches = given.once(_sketched)[0]
    theta = np.asarray(kernels.gram(given.network, given.x))
    np.testing.assert_allclose(sketches @ sketches.T, theta, atol=0.25 * np.diagonal(theta).max())


def test_lcmd_takes_any_readout():
    for readout in ("sum_logits", "all_logits"):
        given = candidates(options=LookaheadOptions(readout=readout))
        assert len(set(STRATEGIES["lcmd"](KEY, given, 4).ids)) == 4
    sums = candidates(options=LookaheadOptions(readout="sum_logits"))
    np.testing.assert_array_equal(
        STRATEGIES["lcmd"](KEY, given, 4).ids, STRATEGIES["lcmd"](KEY, sums, 4).ids
    )


def test_badge_spreads_over_what_was_labeled_within_the_query():
    """A copy of an observed row has no chance, while there is anything else."""
    images = helpers.images(U, seed=2)
    images[5] = images[0]
    for seed in range(10):
        given = candidates(x=images).observe(0, int(candidates().network_logits[0].argmax()))
        # Its outputs may have moved: both are where the posterior is.
        assert STRATEGIES["badge"](jax.random.key(seed), given, 1).ids[0] != given.ids[5]


def test_uherding_reports_the_smallest_distance_of_labeled_features_and_the_temperature():
    given = candidates()
    features = geometry.normalized(given.labeled_features)
    apart = np.linalg.norm(features[:, None] - features, axis=2)[~np.eye(6, dtype=bool)]
    facts = STRATEGIES["uherding"](KEY, given, 2).diagnostics
    assert facts["radius"] == pytest.approx(apart.min(), rel=1e-5)
    assert facts["temperature"] > 0
    # A label within the query next to a labeled point makes the radius smaller.
    near = np.array(given.x)
    near[3] = given.x_labeled[0] + 1e-3
    nearer = candidates(x=near).observe(3, 0)
    assert STRATEGIES["uherding"](KEY, nearer, 2).diagnostics["radius"] < facts["radius"] / 10


def test_uherding_of_equal_labeled_points_falls_back_to_the_radius_of_maxherding():
    copies = np.repeat(helpers.images(1), 6, axis=0)
    facts = STRATEGIES["uherding"](KEY, candidates(x_labeled=copies), 2).diagnostics
    assert facts["radius"] == RADIUS


def test_uherding_is_maxherding_weighted_by_the_uncertainty_at_the_temperature():
    given = candidates()
    selection = STRATEGIES["uherding"](KEY, given, 1)
    facts = selection.diagnostics
    x, labeled = map(geometry.normalized, (given.features, given.labeled_features))
    kernel = np.exp(-np.square(x[:, None] - x).sum(2) / facts["radius"] ** 2)
    covered = np.exp(-np.square(x[:, None] - labeled).sum(2) / facts["radius"] ** 2).max(1)
    p = np.sort(helpers.softmax(np.asarray(given.logits, float) / facts["temperature"]), axis=1)
    uncertainty = 1 - (p[:, -1] - p[:, -2])
    expected = (uncertainty[:, None] * np.maximum(kernel - covered[:, None], 0)).mean(0)
    np.testing.assert_allclose(selection.utilities, expected, rtol=1e-4, atol=1e-9)


def test_probcover_counts_what_no_label_covers():
    given = candidates()
    selection = STRATEGIES["probcover"](KEY, given, 1)
    x, labeled = map(geometry.normalized, (given.features, given.labeled_features))
    radius = selection.diagnostics["radius"]
    inside = np.linalg.norm(x[:, None] - x, axis=2) < radius
    inside |= np.eye(U, dtype=bool)
    uncovered = np.linalg.norm(x[:, None] - labeled, axis=2).min(1) >= radius
    np.testing.assert_array_equal(selection.utilities, (inside & uncovered).sum(1))


@pytest.mark.parametrize("k", [1, 3])
def test_bait_lowers_the_trace_that_its_docstring_gives(k):
    given = candidates().observe(2, 1)
    selection = STRATEGIES["bait"](KEY, given, k)
    logits = np.concatenate([given.network.predict(given.x_labeled), given.logits])
    features = np.concatenate([given.labeled_features[:6], given.features]).astype(float)
    p = helpers.softmax(logits.astype(float) / selection.diagnostics["temperature"]).max(1)
    information = [q * (1 - q) * np.outer(h, h) for q, h in zip(p, features, strict=True)]
    labeled = [*range(6), 6 + 2]
    m = np.eye(features.shape[1]) + sum(information[i] for i in labeled) / (7 + k)
    target = sum(information) / len(information)
    before = np.trace(np.linalg.solve(m, target))
    for row in range(U):
        if row != 2:
            after = np.trace(np.linalg.solve(m + information[6 + row] * k / (7 + k), target))
            assert selection.utilities[row] == pytest.approx(before - after, rel=1e-4)


def test_typiclust_counts_labels_of_the_query_in_its_clusters():
    for row in range(U):
        given = candidates().observe(row, 0)
        first = STRATEGIES["typiclust"](KEY, given, 1).ids[0]
        clusters, of_labeled = clustering.cluster(
            given, feature_space.feature_space(given, unit_length=True), 8
        )
        labels = np.bincount(np.append(of_labeled, clusters[row]), minlength=8)
        sizes = np.bincount(np.concatenate([of_labeled, clusters]), minlength=8)
        open_clusters = set(clusters[np.arange(U) != row])
        order = {
            c: (sizes[c] <= LARGEST_SMALL_CLUSTER, labels[c], -sizes[c]) for c in open_clusters
        }
        assert order[clusters[list(given.ids).index(first)]] == min(order.values())


def test_k_means_starts_from_the_order_of_ids():
    order = np.random.default_rng(0).permutation(U)
    given = candidates()
    shuffled = candidates(x=given.x[order], ids=given.ids[order])
    for num in (3, 8):
        spaces = [feature_space.feature_space(g, unit_length=True) for g in (given, shuffled)]
        straight, labeled = clustering.cluster(given, spaces[0], num)
        moved, labeled_too = clustering.cluster(shuffled, spaces[1], num)
        np.testing.assert_array_equal(moved, straight[order])
        np.testing.assert_array_equal(labeled, labeled_too)


def test_k_means_takes_copies_and_many_clusters():
    assert set(clustering.k_means(np.ones((5, 2)), 4)) <= {0, 1, 2, 3}
    apart = np.arange(120.0)[:, None] * np.ones(3)
    assert len(set(clustering.k_means(apart, 60))) > 40
    blobs = np.repeat(np.eye(3) * 9, 4, axis=0) + np.random.default_rng(0).normal(size=(12, 3))
    assert len({tuple(c) for c in clustering.k_means(blobs, 3).reshape(3, 4)}) == 3
