"""Look-ahead from landmarks, beside the whole covariance and beside dense updates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import data, lookahead, models, training
from ntk_al._utils import compat
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, schemes
from ntk_al.lookahead import ScoreOptions, greedy, landmarks
from ntk_al.lookahead.landmarks.scores import residual_factor
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import check_inputs
from tests import cases, helpers

L, E, U, RANK = 6, 9, 11, 4
RIDGE = 1e-2
LANDMARKS = {"approximation": "landmarks", "ridge": RIDGE}


def sets(dtype=np.float64):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=dtype),
        helpers.images(E, seed=3, dtype=dtype),
    )


def given():
    return helpers.network(dtype=np.float64), *sets()[:3]


def belief_at(rank, x_eval=None):
    network, x_labeled, y_labeled, x_pool = given()
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task="classification")
    return landmarks.condition(problem, ScoreOptions(**LANDMARKS, rank=rank))


def dense(belief):
    """The same posterior with its approximate covariance written out."""
    with compat.enable_x64(True):
        covariance = belief.factor @ belief.factor.T + jnp.diag(belief.remainder)
    return Posterior(
        mean=belief.mean,
        covariance=covariance,
        logits=belief.logits,
        noise=belief.noise,
        ridge=belief.ridge,
        condition_number=belief.condition_number,
        prior=belief.prior,
    )


CASES = cases.crossed(list(lookahead.CRITERIA), lookahead.REFERENCES, [False, True])


@pytest.mark.parametrize(("criterion", "reference", "with_eval"), CASES)
def test_with_every_evaluation_point_a_landmark_scores_are_exact(
    criterion, reference, with_eval, x64
):
    x_eval = sets()[3] if with_eval else None
    options = {"criterion": criterion, "reference": reference, "ridge": RIDGE, "x_eval": x_eval}
    exact = lookahead.score(*given(), **options)
    of_all = lookahead.score(
        *given(), **options, approximation="landmarks", rank=E if with_eval else U
    )
    np.testing.assert_allclose(of_all, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("task", "labels"), [("binary", [0, 1]), ("regression", [0.5, -1.0])])
def test_binary_labels_and_numbers_are_scored_alike(task, labels, x64):
    _, x_labeled, _, x_pool = given()
    network = helpers.network(num_classes=1, dtype=np.float64)
    y = np.resize(np.array(labels), L)
    common = {"task": task, "criterion": "emoc", "ridge": RIDGE}
    exact = lookahead.score(network, x_labeled, y, x_pool, **common)
    found = lookahead.score(
        network, x_labeled, y, x_pool, **common, approximation="landmarks", rank=U
    )
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


def test_rows_of_landmarks_and_the_diagonal_are_those_of_the_whole_covariance(x64):
    whole, belief = belief_at(U), belief_at(RANK)
    exact = np.asarray(whole.factor @ whole.factor.T)
    found = np.asarray(belief.factor @ belief.factor.T)
    np.testing.assert_allclose(found[belief.landmarks], exact[belief.landmarks], atol=1e-5)
    np.testing.assert_allclose(belief.variance, whole.variance, rtol=1e-7)
    left = np.trace(exact - found) / np.trace(exact)
    np.testing.assert_allclose(belief.trace_left, left, atol=1e-5)


@pytest.mark.parametrize("move_network", [False, True])
@pytest.mark.parametrize("row", ["landmark", "other point"])
def test_a_label_is_the_rank_one_update_of_the_approximate_covariance(row, move_network, x64):
    belief = belief_at(RANK)
    others = np.setdiff1d(np.arange(U), belief.landmarks)
    rows = [int(belief.landmarks[1]), int(others[2]), int(belief.landmarks[1])]
    if row == "other point":
        rows = [int(others[0]), int(others[0]), int(belief.landmarks[0])]
    after = belief.observe(rows, [0, 2, 1], move_network=move_network)
    expected = dense(belief).observe(rows, [0, 2, 1], move_network=move_network)
    np.testing.assert_allclose(after.mean, expected.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(after.logits, expected.logits, rtol=1e-9, atol=1e-9)
    scale = np.abs(expected.covariance).max()
    np.testing.assert_allclose(
        dense(after).covariance, expected.covariance, atol=1e-9 * scale, rtol=1e-9
    )


def test_under_jit_a_label_out_of_range_is_ignored_and_counted(x64):
    belief = belief_at(RANK)
    same = jax.jit(lambda i: belief.observe(i, jnp.array([1])))(jnp.array([U + 3]))
    np.testing.assert_array_equal(same.factor, belief.factor)
    assert int(same.ignored) == 1
    with pytest.raises(ValueError, match=rf"index must be in 0..{U - 1}"):
        belief.observe(U, 1)


def test_residuals_of_landmarks_are_what_the_others_leave(x64):
    belief = belief_at(RANK)
    s = np.asarray(belief.factor @ belief.factor.T)
    rows = np.asarray(belief.landmarks)
    found = np.asarray(residual_factor(belief) @ belief.factor.T)
    for number, row in enumerate(rows):
        others = np.delete(rows, number)
        by_others = s[row, others] @ np.linalg.solve(s[np.ix_(others, others)], s[others])
        np.testing.assert_allclose(found[number], s[row] - by_others, atol=1e-5)


@pytest.mark.parametrize("with_eval", [False, True])
@pytest.mark.parametrize("criterion", ["mlmoc", "eer", "variance"])
def test_of_many_points_a_sample_stands_for_all_but_the_candidate(
    criterion, with_eval, monkeypatch, x64
):
    """own(j) + (U − 1) times the mean over the drawn points other than j; chunks change nothing."""
    monkeypatch.setattr(landmarks.build, "MOST_POINTS", 5)
    monkeypatch.setattr(landmarks.build, "CHUNK", 4)
    x_eval = sets()[3] if with_eval else None
    options = {"criterion": criterion, "ridge": RIDGE, "predictive": "softmax"}
    found = lookahead.score(*given(), **options, x_eval=x_eval, approximation="landmarks", rank=5)
    points = sets()[3] if with_eval else sets()[2]
    drawn = np.random.default_rng(0).permutation(
        np.arange(U, U + E) if with_eval else np.arange(U)
    )[:5] - (U if with_eval else 0)
    terms = np.array(
        [lookahead.score(*given(), **options, x_eval=points[[i]]) for i in range(len(points))]
    )
    if with_eval:
        expected = E * terms[drawn].mean(0)
    else:
        expected = [
            terms[j, j] + (U - 1) * terms[np.setdiff1d(drawn, j), j].mean() for j in range(U)
        ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_greedy_batch_of_full_rank_is_the_exact_one(x64):
    exact = lookahead.select(*given(), 4, ridge=RIDGE)
    found = lookahead.select(*given(), 4, **LANDMARKS, rank=U)
    np.testing.assert_array_equal(found.rows, exact.rows)
    assert found.diagnostics.landmarks == U
    assert found.diagnostics.trace_left < 1e-5
    assert found.diagnostics.agreement is None
    assert exact.diagnostics.landmarks is None


@pytest.mark.parametrize("with_eval", [False, True])
def test_some_rows_score_as_they_do_among_all(with_eval, x64):
    """At full rank nothing is estimated from the other candidates; without landmarks neither."""
    x_eval = sets()[3] if with_eval else None
    num_candidates = U if with_eval else None
    rows = np.array([7, 0, 3])
    belief = belief_at(E if with_eval else U, x_eval)
    for of in (belief, dense(belief)):
        scores = lookahead.score_posterior(of, num_candidates=num_candidates)
        some = lookahead.score_posterior(of, num_candidates=num_candidates, rows=rows)
        np.testing.assert_allclose(some, scores[rows], rtol=1e-6)


@pytest.mark.parametrize("rows", [[U], [-1], [], [[0]], [0.5], [True]])
def test_rows_that_are_no_candidates_are_refused(rows, x64):
    with pytest.raises(ValueError, match=rf"rows must be whole numbers in 0..{U - 1}"):
        lookahead.score_posterior(belief_at(RANK), rows=np.array(rows))


@pytest.fixture(scope="module")
def digits():
    """A trained network and the digits, whose kernel is not of low rank."""
    dataset = data.load("digits")
    x, y = dataset.x_train[:60], dataset.y_train[:60]
    network = training.initialize(jax.random.key(0), models.build("mlp", 10, width=32), x)
    config = training.TrainingConfig(epochs=60, batch_size=16)
    network, _ = training.fit(jax.random.key(1), network, x, y, config)
    return network, x, y, dataset.x_train[60:660]


def spearman(a, b):
    ranks = [np.asarray(v).argsort().argsort() for v in (a, b)]
    return np.corrcoef(*ranks)[0, 1]


@pytest.mark.parametrize(("criterion", "least"), [("mlmoc", 0.9), ("emoc", 0.9), ("variance", 0.8)])
def test_the_correction_brings_scores_nearer_to_the_exact_ones(criterion, least, digits):
    exact = np.asarray(lookahead.score(*digits, criterion=criterion))
    problem = check_inputs(*digits, task="classification")
    belief = landmarks.condition(problem, ScoreOptions(**(LANDMARKS | {"ridge": 1e-4}), rank=40))
    options = {"criterion": criterion, "predictive": "softmax"}
    if criterion == "emoc":
        exact = np.asarray(lookahead.score(*digits, **options))
    corrected = np.asarray(lookahead.score_posterior(belief, **options))
    plain = np.asarray(lookahead.score_posterior(dense(belief), **options))
    assert spearman(corrected, exact) > spearman(plain, exact)
    assert spearman(corrected, exact) > least
    assert np.abs(corrected - exact).mean() < np.abs(plain - exact).mean()


def test_landmarks_are_added_until_scores_settle(digits):
    options = {"approximation": "landmarks", "ridge": 1e-4}
    loose = lookahead.select(*digits, 5, tolerance=0.5, **options)
    strict = lookahead.select(*digits, 5, tolerance=1e-4, **options)
    assert loose.diagnostics.landmarks == 256
    assert loose.diagnostics.agreement >= 0.5
    assert strict.diagnostics.landmarks > 256
    assert strict.diagnostics.trace_left < loose.diagnostics.trace_left
    exact = lookahead.score(*digits)
    assert min(spearman(found.scores, exact) for found in (loose, strict)) > 0.99


def test_of_many_candidates_those_of_the_highest_scores_compete_for_a_greedy_batch(
    digits, monkeypatch
):
    monkeypatch.setattr(greedy, "SHORTLIST", 100)
    options = {"approximation": "landmarks", "rank": 64, "ridge": 1e-4}
    found = lookahead.select(*digits, 5, **options)
    best = np.sort(np.argsort(-greedy.significant(found.scores), kind="stable")[:100])
    problem = check_inputs(*digits, task="classification")
    belief, picks = landmarks.condition(problem, ScoreOptions(**options)), []
    scores = found.scores[best]
    for _ in range(5):
        left = np.where(np.isin(best, picks), -np.inf, greedy.significant(np.asarray(scores)))
        picks.append(int(best[left.argmax()]))
        label = int(np.asarray(belief.logits)[picks[-1]].argmax())
        belief = belief.observe(picks[-1], label, move_network=True)
        scores = lookahead.score_posterior(belief, reference="linearized", rows=best)
    np.testing.assert_array_equal(found.rows, picks)


def test_a_strategy_chooses_its_greedy_batch_among_the_same(digits, monkeypatch):
    monkeypatch.setattr(greedy, "SHORTLIST", 100)
    network, x_labeled, y_labeled, x_pool = digits
    shared = {
        "approximation": "landmarks",
        "rank": 64,
        "reference": "linearized",
        "ridge": "leave_one_out",
    }
    options = LookaheadOptions(batch_mode="greedy", **shared)
    given = CandidateSet(network, x_labeled, y_labeled, x_pool, np.arange(len(x_pool)), options)
    chosen = STRATEGIES["mlmoc"](jax.random.key(0), given, 5)
    expected = lookahead.select(*digits, 5, **shared)
    np.testing.assert_array_equal(chosen.ids, expected.rows)


def test_auto_takes_landmarks_only_where_they_save_half(digits):
    network, x_labeled, y_labeled, x_pool = digits
    few = lookahead.select(network, x_labeled, y_labeled, x_pool[:50], 2, approximation="auto")
    assert few.diagnostics.landmarks is None
    np.testing.assert_array_equal(
        few.scores, lookahead.select(network, x_labeled, y_labeled, x_pool[:50], 2).scores
    )
    many = lookahead.select(network, x_labeled, y_labeled, x_pool, 2, approximation="auto", rank=32)
    assert many.diagnostics.landmarks == 32


@pytest.mark.parametrize("scheme", ["batch", "sequential"])
@pytest.mark.parametrize("name", ["mlmoc", "ev_gp", "residual"])
def test_strategies_take_landmarks(name, scheme, digits):
    network, x_labeled, y_labeled, x_pool = digits
    options = LookaheadOptions(approximation="landmarks", rank=32, batch_mode="greedy")
    candidates = CandidateSet(
        network, x_labeled, y_labeled, x_pool[:100], np.arange(100), options=options
    )
    selection = schemes.SCHEMES[scheme](
        jax.random.key(0), STRATEGIES[name], candidates, 3, lambda i: int(i) % 10
    )
    assert len(set(selection.ids.tolist())) == 3
    if name != "residual":  # which needs no covariance until a label is revealed
        assert selection.diagnostics["landmarks"] == 32


WRONG = {
    "rank": ({"rank": U + 1}, ValueError, r"rank \(12\) must not exceed .* 11"),
    "alone": ({"approximation": "none", "rank": 3}, ValueError, "needs approximation='landmarks'"),
    "half": ({"rank": 2.5}, TypeError, "rank must be an integer, got 2.5"),
    "one": ({"rank": 1}, ValueError, "rank must be a finite number of at least 2"),
    "name": ({"approximation": "nystrom"}, ValueError, "known: auto, landmarks, none"),
    "tolerance": (
        {"tolerance": -0.1},
        ValueError,
        "tolerance must be a finite number of at least 0",
    ),
    "all logits": ({"readout": "all_logits"}, ValueError, "nor an approximation"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.quick
def test_wrong_options_are_refused(case, x64):
    options, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        lookahead.score(*given(), **{**LANDMARKS, **options})


def test_landmarks_cannot_be_chosen_under_jit(x64):
    network, x_labeled, y_labeled, x_pool = given()

    def of(x):
        return lookahead.score(network, x_labeled, y_labeled, x, approximation="landmarks")

    with pytest.raises(TypeError, match="decides on the host how many landmarks"):
        jax.jit(of)(x_pool)
