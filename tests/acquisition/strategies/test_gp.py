from __future__ import annotations

import numpy as np
import pytest

from ntk_al import kernels
from ntk_al.acquisition import CandidateSet
from ntk_al.acquisition.strategies.gp import gp
from ntk_al.acquisition.strategies.infinite_ntk import infinite_ntk
from ntk_al.lookahead import REFERENCES
from tests import helpers
from tests.kernels.infinite.problem import KEY, L, U, candidates, dense_kernel, relative_error


def gp_solved_afresh(theta, known, labels, noise):
    """Σ_x ‖mean⁺(x) − mean(x)‖ for each candidate, with a solve for each."""
    points = np.arange(L, L + U)

    def mean(known, labels):
        return helpers.retrained(
            theta[np.ix_(points, known)],
            theta[np.ix_(known, known)],
            noise,
            np.eye(3)[labels],
            np.zeros((U, 3)),
        )

    before = mean(known, labels)
    scores = []
    for j in range(U):
        after = mean([*known, L + j], [*labels, before[j].argmax()])
        scores.append(np.linalg.norm(after - before, axis=1).sum())
    return np.array(scores)


@pytest.mark.parametrize("reference", REFERENCES)
def test_gp_is_the_change_of_its_mean_solved_afresh_with_every_label_so_far(reference):
    given = candidates(reference=reference)
    theta = dense_kernel(given, "nngp")
    noise = 1e-2 * np.diagonal(theta)[:L].mean()
    known, labels = list(range(L)), list(given.y_labeled)
    for row, label in [(None, None), (2, 1), (5, 0)]:
        if row is not None:
            given = given.observe(row, label)
            known, labels = [*known, L + row], [*labels, label]
        utilities, _ = gp(KEY, given)
        afresh = gp_solved_afresh(theta, known, labels, noise)
        rest = given.available
        np.testing.assert_allclose(np.asarray(utilities)[rest], afresh[rest], rtol=1e-3)


def test_gp_on_two_candidates_by_hand(monkeypatch):
    # One label of class 2, λ = 1. With S = [[3/2, 1/2], [1/2, 2]] the gains are
    # [[3/5, 1/6], [1/5, 2/3]]; the means are (0, 0, 1/2) and 0, so that ‖e‖ = 1/2 and 1.
    theta = np.array([[1, 1, 0], [1, 2, 1 / 2], [0, 1 / 2, 2]])
    monkeypatch.setattr(
        kernels, "infinite_blocks", lambda *_, **__: helpers.square_blocks(theta, num_labeled=1)
    )
    given = candidates(ridge=1.0)
    given = CandidateSet(
        given.network, given.x[:1], np.array([2]), given.x[1:3], np.arange(2), given.options
    )
    utilities, diagnostics = gp(KEY, given)
    np.testing.assert_allclose(utilities, [1 / 2 * (3 / 5 + 1 / 5), 1 / 6 + 2 / 3], rtol=1e-6)
    assert diagnostics == {"ridge": 1.0, "condition_number": 1.0, "pooled_head": 1.0}


def test_gp_needs_no_trained_network_and_infinite_ntk_does():
    one, other = candidates(seed=0), candidates(seed=1)
    np.testing.assert_array_equal(gp(KEY, one)[0], gp(KEY, other)[0])
    ntk_one, ntk_other = (
        infinite_ntk(KEY, one)[0],
        infinite_ntk(KEY, other)[0],
    )
    assert relative_error(ntk_one, ntk_other) > 0.1
