"""Strategies on features against scikit-activeml and bmdal_reg, on arrays that they answered on.

The answers are in tests/fixtures/oracles.json, with the versions and the command that made them.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from ntk_al.acquisition.features import coverage, geometry
from ntk_al.acquisition.strategies.badge import _to_row, errors
from ntk_al.acquisition.strategies.bait import forward_backward
from ntk_al.acquisition.strategies.coreset import k_center_greedy
from ntk_al.acquisition.strategies.lcmd import Clusters, largest_cluster_farthest
from ntk_al.acquisition.strategies.probcover import greedy_cover, pure_radius
from ntk_al.acquisition.strategies.typiclust import mean_distances, most_typical
from tests import helpers
from tests.paths import FIXTURES

pytestmark = pytest.mark.quick

ORACLES = json.loads((FIXTURES / "oracles.json").read_text())
X, LABELED = np.array(ORACLES["candidates"]), np.array(ORACLES["labeled"])


def choice_of(rows):
    """Keywords of a choice of as many."""
    return {
        "available": np.ones(len(X), bool),
        "k": len(rows),
        "tie_breaks": np.random.default_rng(0).random(len(X)),
    }


def unit_length():
    x, labeled = geometry.normalized(X), geometry.normalized(LABELED)
    return x, labeled, geometry.nearest(x, labeled)[0]


def test_coreset_is_that_of_scikit_activeml():
    oracle = ORACLES["coreset"]
    rows, distances = k_center_greedy(
        X, geometry.nearest(X, LABELED)[0], **choice_of(oracle["rows"])
    )
    assert rows.tolist() == oracle["rows"]
    np.testing.assert_allclose(distances, oracle["utilities"], atol=1e-8)


def test_typiclust_is_that_of_scikit_activeml_on_the_same_clusters():
    """It counts up to K neighbors also in clusters that are smaller than 2K; none is asked of."""
    oracle = ORACLES["typiclust"]
    clusters = np.array(oracle["clusters"])
    labels, clusters = clusters[: len(LABELED)], clusters[len(LABELED) :]
    rows, _ = most_typical(
        X,
        clusters,
        labels,
        np.concatenate([labels, clusters]),
        num_neighbors=oracle["neighbors"],
        largest_small_cluster=0,
        **choice_of(oracle["rows"]),
    )
    assert rows.tolist() == oracle["rows"]
    typicality = np.array(oracle["typicality"])
    members = np.flatnonzero(typicality > 0)
    distances = mean_distances(X[members], oracle["neighbors"])
    np.testing.assert_allclose(1 / distances, typicality[members], rtol=1e-5)


def test_the_radius_of_probcover_is_the_exact_one_between_two_of_the_grid():
    oracle = ORACLES["probcover"]
    points = np.concatenate([LABELED, X])
    radius = np.sqrt(pure_radius(points, np.array(oracle["classes"])))
    assert oracle["radius"] <= radius < oracle["radius"] + oracle["grid"]


def test_probcover_is_that_of_scikit_activeml_where_no_gains_tie():
    """It breaks ties at random: its rows are followed, and each must gain most at its step."""
    oracle = ORACLES["probcover"]["wide"]
    squared_radius = oracle["radius"] ** 2
    covered = geometry.nearest(X, LABELED)[0] <= squared_radius
    available = np.ones(len(X), bool)
    for row, gains in zip(oracle["rows"], oracle["gains"], strict=True):
        ours, utilities = greedy_cover(
            X,
            covered=covered,
            squared_radius=squared_radius,
            available=available,
            k=1,
            tie_breaks=np.eye(len(X))[row],
        )
        np.testing.assert_array_equal(utilities[available], np.array(gains)[available])
        assert ours.tolist() == [row]
        covered |= np.square(X - X[row]).sum(1) <= squared_radius
        available[row] = False


def test_maxherding_is_that_of_scikit_activeml():
    oracle = ORACLES["maxherding"]
    x, _, distances = unit_length()
    rows, gains = coverage.greedy_coverage(
        x, np.ones(len(x)), distances, radius=1.0, **choice_of(oracle["rows"])
    )
    assert rows.tolist() == oracle["rows"]
    np.testing.assert_allclose(gains, oracle["utilities"], atol=1e-8)


def test_badge_draws_with_the_probabilities_of_scikit_activeml_but_for_a_center_at_the_origin():
    """Its D² starts from the squared norms, as if the origin were a center from the first draw on.

    Neither k-means++ nor the code of BADGE's authors does that, and so neither is it done here.
    """
    oracle = ORACLES["badge"]
    a = errors(helpers.softmax(np.array(oracle["logits"])))
    norms = np.square(a).sum(1) * np.square(X).sum(1)
    assert norms.argmax() == oracle["rows"][0]
    np.testing.assert_allclose(norms / norms.sum(), oracle["probabilities"][0], atol=1e-8)
    squared = norms
    for step in range(1, len(oracle["rows"])):
        chosen = oracle["rows"][step - 1]
        squared = np.minimum(squared, _to_row(a, X, norms, chosen))
        probabilities = np.array(oracle["probabilities"][step])
        left = probabilities >= 0
        np.testing.assert_allclose((squared / squared.sum())[left], probabilities[left], atol=1e-8)


def test_lcmd_is_that_of_bmdal_reg():
    oracle = ORACLES["lcmd"]
    rows, _ = largest_cluster_farthest(X, Clusters.around(X, LABELED), **choice_of(oracle["rows"]))
    assert rows.tolist() == oracle["rows"]


def test_bait_is_that_of_bmdal_reg_on_one_objective():
    """tr((I + Σ x xᵀ)⁻¹ I_all): it has no weights between labeled and chosen points."""
    oracle = ORACLES["bait"]
    everything = np.concatenate([X, LABELED])
    rows, _ = forward_backward(
        X, np.eye(X.shape[1]), everything.T @ everything, **choice_of(oracle["rows"])
    )
    assert rows.tolist() == oracle["rows"]


def test_the_fixture_says_what_made_it():
    assert ORACLES["made_by"]["versions"].keys() >= {"scikit-activeml", "bmdal-reg"}
    assert pytest.approx(np.linalg.norm(geometry.normalized(X), axis=1)) == 1
