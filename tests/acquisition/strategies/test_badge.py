from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al.acquisition.strategies.badge import _to_row, errors, k_means_plus_plus
from tests import helpers


def problem(num=7, num_classes=3, num_features=2, seed=0):
    rng = np.random.default_rng(seed)
    logits, features = rng.normal(size=(num, num_classes)), rng.normal(size=(num, num_features))
    return errors(helpers.softmax(logits)), features, logits


def explicit(a, features):
    """The embeddings themselves, [U, C d]."""
    return np.einsum("uc,ud->ucd", a, features).reshape(len(a), -1)


def choose(a, features, k, *, seed=0, available=None, centers=()):
    num = len(a)
    return k_means_plus_plus(
        a,
        features,
        available=np.ones(num, bool) if available is None else available,
        k=k,
        uniform=lambda step: np.random.default_rng([seed, step]).random(num, np.float32),
        centers=centers,
    )


def test_an_embedding_is_the_gradient_of_the_cross_entropy_at_the_last_layer():
    a, features, _ = problem()
    weights = np.random.default_rng(1).normal(size=(2, 3))

    def loss(w, h):
        logits = h @ w
        return -jax.nn.log_softmax(logits)[jnp.argmax(logits)]

    a = errors(helpers.softmax(features @ weights))
    for row, h in zip(a, features, strict=True):
        np.testing.assert_allclose(np.outer(h, row), jax.grad(loss)(weights, h), atol=1e-5)


def test_factorized_distances_are_those_of_the_explicit_embeddings():
    a, features, _ = problem()
    embeddings = explicit(a, features)
    norms = np.square(embeddings).sum(1)
    for row in range(len(a)):
        np.testing.assert_allclose(
            _to_row(a, features, norms, row),
            np.square(embeddings - embeddings[row]).sum(1),
            atol=1e-14,
        )


def test_the_first_center_has_the_largest_norm():
    a, features, _ = problem()
    rows, utilities = choose(a, features, 1)
    np.testing.assert_allclose(utilities, np.linalg.norm(explicit(a, features), axis=1))
    assert rows[0] == utilities.argmax()


def test_the_first_row_has_the_largest_utility_after_centers_too():
    a, features, _ = problem()
    available = np.arange(7) != 2
    for seed in range(10):
        rows, utilities = choose(a, features, 3, seed=seed, available=available, centers=(2,))
        assert utilities[rows[0]] == utilities[available].max()


@pytest.mark.parametrize("centers", [(), (0, 3)])
def test_rows_are_drawn_in_proportion_to_the_squared_distance_to_the_nearest_center(centers):
    a, features, _ = problem()
    embeddings = explicit(a, features)
    known = list(centers) or [int(np.linalg.norm(embeddings, axis=1).argmax())]
    squared = np.square(embeddings[:, None] - embeddings[known]).sum(2).min(1)
    available = np.ones(len(a), bool)
    available[list(centers)] = False

    draws, step = 3000, len(known) - len(centers)  # the first draw, or the one after the first
    counts = np.zeros(len(a))
    for seed in range(draws):
        rows, _ = choose(a, features, step + 1, seed=seed, available=available, centers=centers)
        counts[rows[step]] += 1
    expected = draws * squared / squared.sum()
    possible = expected > 0
    assert counts[~possible].sum() == 0
    chi_squared = (np.square(counts - expected)[possible] / expected[possible]).sum()
    assert chi_squared < 22.5  # the 99.9th percentile for 6 degrees of freedom


def test_copies_are_drawn_only_when_nothing_else_is_left():
    a, features, _ = problem(4)
    twice = np.repeat(np.arange(4), 2)
    for seed in range(20):
        rows, _ = choose(a[twice], features[twice], 8, seed=seed)
        assert sorted(twice[rows[:4]]) == [0, 1, 2, 3]
        assert sorted(rows) == list(range(8))


def test_rows_at_distance_zero_from_all_centers_are_drawn_uniformly():
    a, features, _ = problem(1)
    firsts, seconds = set(), set()
    for seed in range(40):
        rows, utilities = choose(np.repeat(a, 4, 0), np.repeat(features, 4, 0), 4, seed=seed)
        assert sorted(rows) == [0, 1, 2, 3]
        assert np.isfinite(utilities).all()
        firsts.add(rows[0])
        seconds.add(rows[1])
    assert firsts == seconds == {0, 1, 2, 3}


def test_certain_predictions_give_no_gradient_and_no_nan():
    a = errors(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
    np.testing.assert_array_equal(a, [[0, 0], [0, 0], [-0.5, 0.5]])
    rows, _ = choose(a, np.ones((3, 2)), 3)
    assert rows[0] == 2
    assert sorted(rows) == [0, 1, 2]
