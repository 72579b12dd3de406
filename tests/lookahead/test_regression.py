"""Look-ahead where labels are numbers, beside dense refits with every label."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import kernels, lookahead
from ntk_al._utils import compat
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.lookahead import full_posterior, posterior
from tests import helpers

L, E, U = 6, 5, 7
RIDGE = 1e-3
CRITERIA = lookahead.TASKS["regression"].criteria
CASES = list(itertools.product([1, 2], lookahead.REFERENCES))


def sets(num_outputs, dtype=np.float64):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        np.random.default_rng(1).normal(size=(L, num_outputs)).astype(dtype),
        helpers.images(U, seed=2, dtype=dtype),
        helpers.images(E, seed=3, dtype=dtype),
    )


def network(num_outputs, dtype=np.float64):
    return helpers.network(num_classes=num_outputs, dtype=dtype)


def score(net, x_l, y_l, x_u, **options):
    return lookahead.score(net, x_l, y_l, x_u, task="regression", **options)


def standard_normal(num_outputs):
    """Points and weights whose weighted sums are expectations over N(0, I)."""
    if num_outputs == 1:  # a fine grid, because ‖b + we‖ has a kink
        grid = np.linspace(-9, 9, 50_001)
        weights = np.exp(-(grid**2) / 2)
        return grid[:, None], weights / weights.sum()
    draws = np.random.default_rng(0).normal(size=(50_000, num_outputs))
    return np.concatenate([draws, -draws]), np.full(2 * len(draws), 0.5 / len(draws))


def refitted(net, x_l, y_l, x_u, x_e, reference):
    """E_y Σ_x ‖f⁺(x) − f(x)‖: for each candidate, the kernel regression is solved for all y."""
    num_outputs = y_l.shape[1]
    x = np.concatenate([x_l, x_e, x_u])
    theta, f = helpers.plain_gram(net, x, x), np.asarray(net.predict(x))
    noise = RIDGE * np.diagonal(theta)[:L].mean()
    labeled, evaluation = np.arange(L), np.arange(L, L + E)

    def solved(points, known, residual):
        a, cross = theta[np.ix_(known, known)], theta[np.ix_(points, known)]
        return helpers.retrained(cross, a, noise, residual, 0)

    before = f[evaluation]
    if reference == "linearized":
        before = before + solved(evaluation, labeled, y_l - f[:L])
    steps, weights = standard_normal(num_outputs)
    expected = []
    for j in range(L + E, len(x)):
        own = theta[j, j] - theta[j, :L] @ np.linalg.solve(
            theta[:L, :L] + noise * np.eye(L), theta[:L, j]
        )
        mean = f[j] + solved([j], labeled, y_l - f[:L])[0]
        y = mean + np.sqrt(own + noise) * steps  # one label a row
        known = np.append(labeled, j)
        residuals = np.stack([np.broadcast_to(r, y.shape) for r in y_l - f[:L]] + [y - f[j]])
        change = solved(evaluation, known, residuals.reshape(L + 1, -1)).reshape(E, *y.shape)
        norms = np.linalg.norm(f[evaluation][:, None] + change - before[:, None], axis=2)
        expected.append((norms @ weights).sum())
    return np.array(expected)


@pytest.mark.parametrize(("num_outputs", "reference"), CASES)
def test_emoc_is_the_mean_change_of_refits_with_every_label(num_outputs, reference, x64):
    net = network(num_outputs)
    x_l, y_l, x_u, x_e = sets(num_outputs)
    options = {"criterion": "emoc", "reference": reference, "ridge": RIDGE, "x_eval": x_e}
    scores = score(net, x_l, y_l, x_u, **options)
    expected = refitted(net, x_l, y_l, x_u, x_e, reference)
    np.testing.assert_allclose(scores, expected, rtol=1e-7 if num_outputs == 1 else 5e-3)


@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_linearized_emoc_is_the_expected_error_times_the_reach(num_outputs, x64):
    """√(S_jj + λ) · √2 Γ((C+1)/2)/Γ(C/2) · Σ_x |w(x, j)|."""
    net = network(num_outputs)
    x_l, y_l, x_u, _ = sets(num_outputs)
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u), y_l - net.predict(x_l), net.predict(x_u)
    )
    s = np.asarray(belief.covariance)
    own = np.diagonal(s) + float(belief.noise)
    chi = np.sqrt(2) * math.gamma((num_outputs + 1) / 2) / math.gamma(num_outputs / 2)
    np.testing.assert_allclose(
        score(net, x_l, y_l, x_u, criterion="emoc", reference="linearized"),
        np.sqrt(own) * chi * np.abs(s / own).sum(0),
        rtol=1e-9,
    )


def test_emoc_with_all_logits_is_the_mean_change_over_sampled_labels(x64):
    num_outputs = 2
    net = network(num_outputs)
    x_l, y_l, x_u, _ = sets(num_outputs)
    belief = full_posterior.condition(
        kernels.full_blocks(net, x_l, x_u), y_l - net.predict(x_l), net.predict(x_u), ridge=RIDGE
    )
    s, offset = np.asarray(belief.covariance), np.asarray(belief.offset)
    scores = score(net, x_l, y_l, x_u, criterion="emoc", readout="all_logits", ridge=RIDGE)
    steps, weights = standard_normal(num_outputs)
    for j in range(U):
        own = s[j, :, j] + float(belief.noise) * np.eye(num_outputs)
        e = steps @ np.linalg.cholesky(own).T
        change = offset[:, None] + np.einsum("xca,na->xnc", s[:, :, j] @ np.linalg.inv(own), e)
        expected = (np.linalg.norm(change, axis=2) @ weights).sum()
        np.testing.assert_allclose(scores[j], expected, rtol=5e-3)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_with_one_output_all_logits_are_that_one(criterion, x64):
    net = network(1)
    x_l, y_l, x_u, x_e = sets(1)
    options = {"criterion": criterion, "x_eval": x_e}
    np.testing.assert_allclose(
        score(net, x_l, y_l, x_u, readout="all_logits", **options),
        score(net, x_l, y_l, x_u, **options),
        rtol=1e-8,
    )


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_score_is_posterior_and_criterion_composed(criterion, num_outputs, x64):
    net = network(num_outputs)
    x_l, y_l, x_u, _ = sets(num_outputs)
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u), y_l - net.predict(x_l), net.predict(x_u)
    )
    np.testing.assert_allclose(
        lookahead.score_posterior(belief, criterion=criterion, task="regression"),
        score(net, x_l, y_l, x_u, criterion=criterion),
        rtol=1e-10,
    )


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.quick
def test_in_float32_and_under_jit_scores_are_the_same(criterion, x64):
    given = network(2), *sets(2)[:3]
    exact = score(*given, criterion=criterion)
    with compat.enable_x64(False):
        given = network(2, np.float32), *sets(2, np.float32)[:3]
        np.testing.assert_allclose(score(*given, criterion=criterion), exact, rtol=1e-4)
        jitted = jax.jit(lambda *arguments: score(*arguments, criterion=criterion))
        np.testing.assert_allclose(jitted(*given), exact, rtol=1e-3)


def test_targets_may_be_flat_integers_or_a_list():
    net = network(1, np.float32)
    x_l, _, x_u, _ = sets(1, np.float32)
    y_l = np.arange(L) % 4 - 1.0
    scores = score(net, x_l, y_l[:, None], x_u, criterion="emoc")
    for same in (y_l, y_l.astype(int), y_l.tolist(), jnp.asarray(y_l)):
        np.testing.assert_allclose(score(net, x_l, same, x_u, criterion="emoc"), scores, rtol=1e-6)


@pytest.mark.parametrize("task", lookahead.TASKS)
def test_variance_is_what_a_label_removes_whatever_the_labels(task, x64):
    net = network(2 if task == "classification" else 1)
    x_l, _, x_u, x_e = sets(1)
    y_l = helpers.labels(L, num_classes=2)
    options = {"criterion": "variance", "task": task, "ridge": RIDGE, "x_eval": x_e}
    scores = lookahead.score(net, x_l, y_l, x_u, **options)
    x = np.concatenate([x_l, x_e, x_u])
    theta = helpers.plain_gram(net, x, x) * (1 / 4 if task == "binary" else 1)
    noise = RIDGE * np.diagonal(theta)[:L].mean()
    rows = np.split(np.arange(len(x)), [L, L + E])
    np.testing.assert_allclose(
        scores, helpers.plain_variance_removed(theta, noise, *rows), rtol=1e-8
    )
    np.testing.assert_array_equal(scores, lookahead.score(net, x_l, 1 - y_l, x_u, **options))


@pytest.mark.parametrize("with_eval", [False, True])
def test_variance_ranks_as_the_strategy_ev_gp(with_eval):
    net = helpers.network()
    x_l, _, x_u, x_e = sets(1, np.float32)
    y_l, x_eval = helpers.labels(L), x_e if with_eval else None
    given = CandidateSet(net, x_l, y_l, x_u, np.arange(U), LookaheadOptions(), x_eval)
    selection = STRATEGIES["ev_gp"](jax.random.key(0), given, 1)
    scores = lookahead.score(net, x_l, y_l, x_u, criterion="variance", x_eval=x_eval)
    np.testing.assert_allclose(scores, selection.utilities, rtol=1e-4)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(selection.utilities))


@pytest.mark.parametrize("criterion", ["mlmoc", "eer", "flips"])
@pytest.mark.quick
def test_criteria_about_classes_are_refused_by_name(criterion):
    with pytest.raises(
        ValueError, match=f"'{criterion}' is about classes.*do: emoc, epig, variance"
    ):
        score(network(1, np.float32), *sets(1, np.float32)[:3], criterion=criterion)


@pytest.mark.parametrize(
    ("num_outputs", "targets", "error", "message"),
    [
        (2, np.zeros(L), ValueError, r"must have shape \(6, 2\) for task='regression'"),
        (2, np.zeros(L, int), ValueError, "class ids belong to task='classification'"),
        (1, np.zeros(L - 1), ValueError, r"must have shape \(6, 1\).*got \(5, 1\)"),
        (1, np.full(L, np.nan), ValueError, "y_labeled has 6 NaN"),
        (1, np.zeros(L, bool), TypeError, "must hold real numbers"),
        (1, np.zeros(L, complex), TypeError, "must hold real numbers"),
    ],
)
def test_targets_that_do_not_fit_are_refused(num_outputs, targets, error, message):
    x_l, _, x_u, _ = sets(num_outputs, np.float32)
    with pytest.raises(error, match=message):
        score(network(num_outputs, np.float32), x_l, targets, x_u, criterion="emoc")


def test_a_network_that_explains_less_than_half_of_the_spread_is_warned_of(recwarn):
    net = network(1, np.float32)
    x_l, _, x_u, _ = sets(1, np.float32)
    f = np.asarray(net.predict(x_l))
    for unit in (1e-3, 1e3):
        noise = unit * np.array([1.0, -1, 1, -1, 1, -1])[:, None]
        with pytest.warns(UserWarning, match="an untrained network has about"):
            score(net, x_l, f + noise * 100, x_u, criterion="emoc")
    recwarn.clear()
    score(net, x_l, f + 0.01 * (f - f.mean()), x_u, criterion="emoc")
    assert not recwarn.list


def test_a_criterion_without_labels_is_no_option_of_a_strategy():
    with pytest.raises(ValueError, match=r"does not depend on labels.*the strategies ev_gp"):
        LookaheadOptions(criterion="variance")
