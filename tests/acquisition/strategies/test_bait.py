from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.bait import _Traces, embedding, forward_backward

SEEDS = pytest.mark.parametrize("seed", range(4))


def problem(seed, num=10, dimension=3):
    rng = np.random.default_rng(seed)
    embeddings, labeled = rng.normal(size=(num, dimension)), rng.normal(size=(4, dimension))
    everything = np.concatenate([embeddings, labeled])
    information = np.eye(dimension) + labeled.T @ labeled
    return embeddings, information, everything.T @ everything / len(everything)


def trace(embeddings, information, target, chosen):
    """tr((information + Σ x xᵀ)⁻¹ target), from scratch."""
    x = embeddings[list(chosen)]
    return np.trace(np.linalg.solve(information + x.T @ x, target))


def choose(embeddings, information, target, k, *, available=None, ties=None):
    num = len(embeddings)
    return forward_backward(
        embeddings,
        information,
        target,
        available=np.ones(num, bool) if available is None else available,
        k=k,
        tie_breaks=np.arange(num) / num if ties is None else np.asarray(ties),
    )


@SEEDS
def test_gains_and_losses_are_those_of_traces_from_scratch_after_any_updates(seed):
    embeddings, information, target = problem(seed)
    traces = _Traces(embeddings, information, target)
    chosen = [1, 5, 7, 8]
    for row in chosen:
        traces.update(row, 1)
    traces.update(5, -1)
    chosen.remove(5)
    before = trace(embeddings, information, target, chosen)
    for row in range(len(embeddings)):
        after = trace(embeddings, information, target, [*chosen, row])
        assert traces.gains()[row] == pytest.approx(before - after)
    for row in chosen:
        after = trace(embeddings, information, target, [c for c in chosen if c != row])
        assert traces.losses()[row] == pytest.approx(after - before)


@SEEDS
@pytest.mark.parametrize("k", [1, 3, 7])
def test_bait_adds_greedily_twice_as_many_and_takes_the_worst_away_again(seed, k):
    embeddings, information, target = problem(seed)
    chosen: list[int] = []

    def value(rows):
        return trace(embeddings, information, target, rows)

    for _ in range(min(2 * k, 10)):
        left = set(range(10)) - set(chosen)
        chosen.append(min(left, key=lambda row: value([*chosen, row])))
    while len(chosen) > k:
        chosen.remove(min(chosen, key=lambda row: value([c for c in chosen if c != row])))
    rows, utilities = choose(embeddings, information, target, k)
    assert rows.tolist() == chosen
    gains = [value([]) - value([row]) for row in range(10)]
    np.testing.assert_allclose(utilities, gains)


def test_bait_by_hand_on_two_directions():
    """M = I_U = I: 2e₁ takes 1 − 1/5 of the trace, its copy then 1/5 − 1/9, and e₂ 1/2."""
    embeddings = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    rows, utilities = choose(embeddings, np.eye(2), np.eye(2), 2)
    np.testing.assert_allclose(utilities, [0.8, 0.8, 0.5])
    assert rows.tolist() == [1, 2]  # the copies tie
    rows, _ = choose(embeddings, np.eye(2), np.eye(2), 2, ties=[0.9, 0.1, 0.5])
    assert rows.tolist() == [0, 2]


def test_the_single_choice_is_the_best_one():
    embeddings, information, target = problem(0)
    rows, utilities = choose(embeddings, information, target, 1)
    assert rows[0] == utilities.argmax()


def test_all_and_equal_and_zero_embeddings_can_be_chosen():
    for embeddings in (np.ones((5, 2)), np.zeros((5, 2))):
        rows, utilities = choose(embeddings, np.eye(2), np.eye(2), 5)
        assert sorted(rows) == [0, 1, 2, 3, 4]
        assert np.isfinite(utilities).all()
        first = [
            choose(embeddings, np.eye(2), np.eye(2), 1, ties=np.roll(np.arange(5), shift))[0][0]
            for shift in range(5)
        ]
        assert set(first) == {0, 1, 2, 3, 4}


def test_rows_that_are_not_available_are_not_chosen():
    embeddings, information, target = problem(0)
    available = np.arange(10) % 3 > 0
    rows, _ = choose(embeddings, information, target, 6, available=available)
    assert sorted(rows) == np.flatnonzero(available).tolist()


def test_an_embedding_is_the_root_of_the_fisher_information_of_the_binary_task():
    """E over y ~ Bernoulli(p) of the outer product of ∂ log p(y) = (y − p) h."""
    h = np.array([[1.0, 2.0], [3.0, -1.0]])
    x = embedding(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), h)
    for p, features, row in zip([0.7, 0.8], h, x, strict=True):
        score = {y: (y - p) * features for y in (0, 1)}
        information = p * np.outer(score[1], score[1]) + (1 - p) * np.outer(score[0], score[0])
        np.testing.assert_allclose(np.outer(row, row), information)
