"""The best of many batches by their true labels."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import kernels
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, oracle, schemes
from tests import helpers

L, U, K, C = 5, 8, 2, 3
KEY = jax.random.key(3)
LABELS = helpers.labels(U, seed=7)


def candidates(**options):
    return CandidateSet(
        helpers.network(dtype=np.float64),
        helpers.images(L, seed=1, dtype=np.float64),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=np.float64),
        np.arange(U) + 100,
        options=LookaheadOptions(ridge=1e-2, **options),
    )


def chosen(given, strategy="random", k=K):
    return schemes.SCHEMES["oracle"](
        KEY, STRATEGIES[strategy], given, k, lambda i: int(LABELS[i - 100])
    )


def retrained_mean(given, rows):
    """Eq. 11 solved afresh, with the labels of a batch among the labeled ones."""
    x = np.concatenate([given.x_labeled, given.x[rows]])
    targets = np.eye(C)[np.concatenate([given.y_labeled, LABELS[rows]])]
    theta = np.asarray(kernels.gram(given.network, x))
    noise = 1e-2 * theta[:L, :L].diagonal().mean()
    cross = np.asarray(kernels.gram(given.network, x, given.x))
    outputs = np.asarray(given.network.predict(given.x))
    residual = targets - np.asarray(given.network.predict(x))
    return outputs + cross.T @ np.linalg.solve(theta + noise * np.eye(len(x)), residual)


def judged(given, ids):
    rows = np.asarray(ids) - 100
    mean, others = retrained_mean(given, rows), np.setdiff1d(np.arange(U), rows)
    right = (mean[others].argmax(1) == LABELS[others]).mean()
    error = np.square(mean[others] - np.eye(C)[LABELS[others]]).sum(1).mean()
    return right, -error


@pytest.mark.quick
def test_no_batch_of_the_strategy_is_better_when_retrained_on_its_true_labels(x64, monkeypatch):
    monkeypatch.setattr(oracle, "NUM_BATCHES", 30)
    given = candidates()
    batches = [
        STRATEGIES["random"](jax.random.fold_in(KEY, number), given, K).ids for number in range(30)
    ]
    scores = [judged(given, ids) for ids in batches]
    best = chosen(given)
    assert judged(given, best.ids) == pytest.approx(max(scores))
    assert best.diagnostics["accuracy"] == pytest.approx(max(scores)[0])
    assert best.diagnostics["mean_accuracy"] == pytest.approx(np.mean([s[0] for s in scores]))
    assert min(scores) < max(scores)


@pytest.mark.parametrize("options", [{"readout": "all_logits"}, {"approximation": "landmarks"}])
def test_other_posteriors_absorb_the_batch_as_they_do_in_a_query(options, x64):
    belief, rows = candidates(**options).posterior, np.array([1, 4])
    np.testing.assert_allclose(
        oracle.mean_after(belief, rows, LABELS[rows]), belief.observe(rows, LABELS[rows]).mean
    )


def test_the_block_update_is_that_of_one_label_after_the_other(x64):
    belief, rows = candidates().posterior, np.array([1, 4, 6])
    np.testing.assert_allclose(
        oracle.mean_after(belief, rows, LABELS[rows]),
        belief.observe(rows, LABELS[rows]).mean,
        rtol=1e-8,
    )


def test_a_batch_of_all_candidates_leaves_nothing_to_choose(x64):
    assert sorted(chosen(candidates(), k=U).ids) == list(range(100, 100 + U))
