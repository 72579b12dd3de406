"""Information about the evaluation points together, beside entropies of Gaussians."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from tests import helpers

L, U, E, C, RIDGE = 5, 6, 4, 3, 1e-2
KEY = jax.random.key(0)


def candidates(x_eval=True, **options):
    return CandidateSet(
        helpers.network(dtype=np.float64),
        helpers.images(L, seed=1, dtype=np.float64),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=np.float64),
        np.arange(U),
        options=LookaheadOptions(ridge=RIDGE, **options),
        x_eval=helpers.images(E, seed=3, dtype=np.float64) if x_eval else None,
    )


def entropy(covariance):
    """That of a Gaussian, up to a constant for each dimension."""
    return np.linalg.slogdet(covariance)[1] / 2


def plain_information(s, noise, label, points):
    """I(f(A); y) = H(y) + H(f(A)) − H(y, f(A)) for the rows of a label and of A."""
    both = [*label, *points]
    joint = s[np.ix_(both, both)].copy()
    own = s[np.ix_(label, label)] + noise * np.eye(len(label))
    joint[: len(label), : len(label)] = own
    return entropy(own) + entropy(s[np.ix_(points, points)]) - entropy(joint)


@pytest.mark.quick
def test_it_is_the_information_about_all_evaluation_points_together(x64):
    given = candidates()
    s, noise = np.asarray(given.posterior.covariance), float(given.posterior.noise)
    expected = [plain_information(s, noise, [j], range(U, U + E)) for j in range(U)]
    np.testing.assert_allclose(STRATEGIES["itl"](KEY, given, 1).utilities, expected, rtol=1e-3)


def test_with_all_logits_a_label_is_a_vector(x64):
    given = candidates(readout="all_logits")
    belief = given.posterior
    num = (U + E) * C
    s, noise = np.asarray(belief.covariance).reshape(num, num), float(belief.noise)
    expected = [
        plain_information(s, noise, range(C * j, C * (j + 1)), range(C * U, num)) for j in range(U)
    ]
    np.testing.assert_allclose(STRATEGIES["itl"](KEY, given, 1).utilities, expected, rtol=1e-3)


@pytest.mark.parametrize("x_eval", [False, True])
def test_with_every_point_a_landmark_it_is_the_same(x_eval, x64):
    exact, approximate = (
        STRATEGIES["itl"](KEY, candidates(x_eval, approximation=name), 1).utilities
        for name in ("none", "landmarks")
    )
    np.testing.assert_allclose(approximate, exact, rtol=1e-3)


def test_where_candidates_are_the_evaluation_points_it_is_their_own_uncertainty(x64):
    given = candidates(x_eval=False)
    s, noise = np.asarray(given.posterior.covariance), float(given.posterior.noise)
    expected = np.log1p(s.diagonal() / noise) / 2
    np.testing.assert_allclose(STRATEGIES["itl"](KEY, given, 1).utilities, expected, rtol=1e-3)


def test_two_copies_of_an_evaluation_point_say_no_more_than_one(x64):
    one = candidates()
    two = dataclasses.replace(one, x_eval=np.concatenate([one.x_eval, one.x_eval[:1]]))
    np.testing.assert_allclose(
        STRATEGIES["itl"](KEY, two, 1).utilities,
        STRATEGIES["itl"](KEY, one, 1).utilities,
        rtol=1e-3,
    )
