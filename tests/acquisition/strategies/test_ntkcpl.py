"""The coverage of cluster pseudo-labels, beside kernel regressions that are solved anew."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, kernels
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.acquisition.strategies.ntkcpl import divided
from tests import helpers

RIDGE, KEY = 1e-2, jax.random.key(0)

# The group of each labeled point, candidate and evaluation point. As many groups as labels; two
# labels of group 0 agree, and three groups have none.
LABELED, POOL, EVAL = [0, 0, 1, 2, 2, 2], [0, 1, 2, 3, 3, 3, 4, 4, 5], [1, 3, 3, 4, 5, 5]
CLASSES = np.array([0, 0, 1, 2, 2, 2])


def points(groups, seed):
    """Near one axis for each group, so that the features of a linear network are its clusters."""
    noise = 0.1 * np.random.default_rng(seed).normal(size=(len(groups), 8))
    return np.eye(8)[groups] + noise


def candidates(x_eval=True, classes=CLASSES, **options):
    module = helpers.Linear()
    variables = jax.tree.map(jnp.asarray, module.init(jax.random.key(0), np.zeros((1, 8))))
    return CandidateSet(
        Network(module, variables),
        points(LABELED, 1),
        classes,
        points(POOL, 2),
        np.arange(len(POOL))[::-1],
        options=LookaheadOptions(ridge=RIDGE, **options),
        x_eval=points(EVAL, 3) if x_eval else None,
    )


def utilities(given):
    return STRATEGIES["ntkcpl"](KEY, given, 1).utilities


def plain_coverage(given, groups, known):
    """−Σ_x 1[argmax f⁺(x) ≠ cluster of x] of each candidate, each by a solve of its own.

    ``groups`` are those of labeled points, candidates and evaluation points, one after another, and
    ``known`` are the rows that are labeled before.
    """
    x = np.concatenate(
        [given.x_labeled, given.x, *([] if given.x_eval is None else [given.x_eval])]
    )
    theta = np.asarray(kernels.gram(given.network, x), np.float64)
    num_labeled, num_pool = len(LABELED), len(POOL)
    noise = RIDGE * theta.diagonal()[:num_labeled].mean()
    first = num_labeled if given.x_eval is None else num_labeled + num_pool
    values = []
    for j in range(num_labeled, num_labeled + num_pool):
        rows = [*known, j]
        a = theta[np.ix_(rows, rows)] + noise * np.eye(len(rows))
        after = theta[first:, rows] @ np.linalg.solve(a, np.eye(1 + max(groups))[groups[rows]])
        values.append(-(after.argmax(1) != groups[first:]).sum())
    return np.array(values, float)


@pytest.mark.quick
@pytest.mark.parametrize("x_eval", [False, True])
def test_it_counts_the_points_that_a_network_of_the_clusters_would_miss(x_eval, x64):
    given = candidates(x_eval)
    groups = np.array(LABELED + POOL + (EVAL if x_eval else []))
    expected = plain_coverage(given, groups, range(len(LABELED)))
    assert len(set(expected)) > 2
    np.testing.assert_array_equal(utilities(given), expected)


def test_landmarks_at_every_point_count_the_same(x64):
    exact, approximate = (utilities(candidates(approximation=a)) for a in ("none", "landmarks"))
    np.testing.assert_array_equal(approximate, exact)


def test_a_label_within_the_query_is_its_points_cluster(x64):
    given = candidates(x_eval=False)
    groups = np.array(LABELED + POOL)
    expected = plain_coverage(given, groups, [*range(len(LABELED)), len(LABELED) + 3])
    after = given.observe(3, 1)
    np.testing.assert_array_equal(np.delete(utilities(after), 3), np.delete(expected, 3))


def test_a_greedy_batch_visits_another_group_with_every_pick():
    given = candidates(x_eval=False, batch_mode="greedy")
    chosen = STRATEGIES["ntkcpl"](KEY, given, 3).ids
    assert sorted(np.array(POOL)[::-1][chosen]) == [3, 4, 5]


def test_a_cluster_whose_labels_disagree_is_divided():
    line = np.array([[0.0], [1.0], [0.1], [0.9], [5.0], [0.0]])
    clusters = divided(line, np.array([0, 0, 0, 0, 1, 0]), np.array([7, 8]))
    assert clusters.tolist() == [0, 1, 0, 1, 2, 0]


def test_copies_with_different_labels_are_in_different_clusters():
    same = np.zeros((3, 2))
    first, second, third = divided(same, np.zeros(3, int), np.array([0, 1]))
    assert first != second
    assert third in (first, second)


def test_the_choice_does_not_depend_on_the_order_of_the_pool():
    given = candidates()
    order = np.random.default_rng(0).permutation(len(POOL))
    shuffled = dataclasses.replace(given, x=given.x[order], ids=given.ids[order])
    np.testing.assert_array_equal(utilities(shuffled), utilities(given)[order])


def test_a_kernel_of_all_logits_is_refused():
    with pytest.raises(ValueError, match=r"ntkcpl.*choose a read-out other than 'all_logits'"):
        utilities(candidates(readout="all_logits"))
