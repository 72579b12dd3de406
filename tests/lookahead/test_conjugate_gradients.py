"""The labeled set conditioned on by conjugate gradients, beside its Cholesky factor."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import Network, data, lookahead, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, schemes
from ntk_al.kernels.empirical.plan import BudgetError
from ntk_al.lookahead import conjugate_gradients, problem
from ntk_al.lookahead.conjugate_gradients import (
    clusters,
    labeled_kernel,
    pivoted_cholesky,
    preconditioner,
    solution,
)
from tests import cases, helpers

L, U, E = 40, 12, 7


@pytest.fixture(autouse=True)
def tiles(monkeypatch):
    """Cuts even a small labeled set into tiles and clusters; small sets make one of each."""
    monkeypatch.setattr(labeled_kernel, "TILE", 16)
    monkeypatch.setattr(preconditioner, "_LARGEST_CLUSTER", 12)
    monkeypatch.setattr(pivoted_cholesky, "_DRAWS", 8)
    monkeypatch.setattr(pivoted_cholesky, "_PER_ROOT", 1)


def sets(dtype=np.float64):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=dtype),
    )


def evaluation():
    return helpers.images(E, seed=3, dtype=np.float64)


def given():
    x_labeled, *others = sets()
    module = helpers.tiny_model("mlp")
    variables = jax.tree.map(
        lambda leaf: leaf.astype(np.float64), module.init(jax.random.key(0), x_labeled)
    )
    return Network(module, variables), x_labeled, *others


@pytest.fixture(scope="module")
def digits():
    """A trained network, labels and candidates."""
    found = data.load("digits")
    x, y = found.x_train[:60], found.y_train[:60]
    network = training.initialize(jax.random.key(0), models.build("mlp", 10, width=16), x)
    network, _ = training.fit(
        jax.random.key(1),
        network,
        x,
        y,
        training.TrainingConfig(epochs=60, batch_size=16, learning_rate=0.05),
    )
    return network, x, y, found.x_train[60:100]


@pytest.mark.parametrize(
    "options",
    [
        {},
        cases.thorough({"x_eval": True}),
        {"criterion": "epig"},
        {"task": "regression", "criterion": "variance", "x_eval": True},
        {"reference": "linearized", "ridge": 1e-6},
        {"approximation": "landmarks", "rank": 6},
        cases.thorough({"criterion": "brier", "predictive": "softmax"}),
    ],
    ids=str,
)
def test_scores_are_those_of_the_cholesky_factor(options, x64):
    network, x_labeled, y_labeled, x_pool = given()
    if options.get("task") == "regression":
        y_labeled = np.eye(3)[y_labeled]
    if "x_eval" in options:
        options = {**options, "x_eval": evaluation()}
    by_cholesky, by_iteration = (
        lookahead.score(network, x_labeled, y_labeled, x_pool, solver=solver, **options)
        for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-6)


def test_so_are_they_where_memory_keeps_no_tile(monkeypatch, x64):
    monkeypatch.setattr(labeled_kernel, "_SHARE", 0.0)
    by_cholesky, by_iteration = (
        lookahead.score(*given(), solver=solver) for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-6)


def test_so_are_they_in_one_tile_and_one_cluster(monkeypatch, x64):
    monkeypatch.setattr(labeled_kernel, "TILE", 4096)
    monkeypatch.setattr(preconditioner, "_LARGEST_CLUSTER", 1024)
    by_cholesky, by_iteration = (
        lookahead.score(*given(), solver=solver) for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-6)


def test_so_are_those_of_a_network_in_float32(digits):
    by_cholesky, by_iteration = (
        lookahead.score(*digits, solver=solver, ridge=1e-2) for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-5)


def test_errors_fall_with_the_square_of_the_residuals(x64):
    exact, *loose = (
        lookahead.score(*given(), **options)
        for options in (
            {},
            {"solver": "cg", "solver_tolerance": 1e-3},
            {"solver": "cg", "solver_tolerance": 1e-5},
        )
    )
    errors = [float(np.abs(scores / exact - 1).max()) for scores in loose]
    assert 0 < errors[1] < 1e-3 * errors[0]


def test_a_greedy_batch_is_the_same(x64):
    by_cholesky, by_iteration = (
        lookahead.select(*given(), 4, solver=solver) for solver in lookahead.SOLVERS
    )
    np.testing.assert_array_equal(by_iteration.rows, by_cholesky.rows)
    np.testing.assert_allclose(by_iteration.diagnostics.ridge, by_cholesky.diagnostics.ridge)


def test_of_the_labeled_sets_tiles_only_the_first_plan_is_told(caplog, x64):
    with caplog.at_level("INFO", "ntk_al"):
        lookahead.score(*given(), solver="cg")
    plans = [message for message in caplog.messages if "kernel plan" in message]
    assert len(plans) == 2  # the other is that of the candidates


@pytest.mark.parametrize(("name", "scheme"), [("mlmoc", "sequential"), ("residual", "batch")])
def test_strategies_choose_the_same(name, scheme, digits):
    network, x_labeled, y_labeled, x_pool = digits
    utilities = []
    for solver in lookahead.SOLVERS:
        candidates = CandidateSet(
            network, x_labeled, y_labeled, x_pool, np.arange(len(x_pool)),
            options=LookaheadOptions(solver=solver, ridge=1e-2, batch_mode="greedy"),
        )  # fmt: skip
        chosen = schemes.SCHEMES[scheme](
            jax.random.key(0), STRATEGIES[name], candidates, 2, lambda i: int(i) % 10
        )
        utilities.append(chosen.utilities)
    np.testing.assert_allclose(utilities[1], utilities[0], rtol=1e-4, atol=1e-5)


def test_copies_among_the_labels_do_no_harm(x64):
    network, x_labeled, y_labeled, x_pool = given()
    x, y = np.tile(x_labeled[:20], (2, 1, 1, 1)), np.tile(y_labeled[:20], 2)
    by_cholesky, by_iteration = (
        lookahead.score(network, x, y, x_pool, solver=solver) for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-6)


def test_one_label_is_enough(x64):
    network, x_labeled, y_labeled, x_pool = given()
    by_cholesky, by_iteration = (
        lookahead.score(network, x_labeled[:1], y_labeled[:1], x_pool, solver=solver)
        for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-8)


def test_no_tile_is_larger_than_the_budget_allows(monkeypatch, x64):
    largest = []
    compute = labeled_kernel.execute.kernel_blocks

    def spied(network, x, *args, **kwargs):
        largest.append(max(len(of_set) for of_set in x))
        return compute(network, x, *args, **{**kwargs, "memory_budget": None})

    monkeypatch.setattr(labeled_kernel.execute, "kernel_blocks", spied)
    monkeypatch.setattr(preconditioner, "_LARGEST_CLUSTER", 8)
    checked = problem.check_inputs(*given(), task="classification")
    options = lookahead.ScoreOptions(solver="cg", memory_budget=32 * 10**2)
    conjugate_gradients.Solution(checked, options).mean(np.zeros((L, 1)), np.zeros((1, 3)))
    assert max(largest) == 10


WRONG = {
    "name": ({"solver": "lu"}, ValueError, "known: cg, cholesky"),
    "tolerance": ({"solver_tolerance": 0.0}, ValueError, "solver_tolerance must be a positive"),
    "all logits": ({"readout": "all_logits"}, ValueError, "nor solver='cg'"),
    "ridge": ({"ridge": 0.0}, ValueError, "solver='cg' needs a positive ridge"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.quick
def test_wrong_options_are_refused(case, x64):
    options, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        lookahead.score(*given(), **{"solver": "cg", **options})


def test_an_iteration_that_does_not_converge_says_what_to_do(monkeypatch, x64):
    monkeypatch.setattr(solution, "MOST_ITERATIONS", 0)
    with pytest.raises(ValueError, match=r"a residual of 1 after 0 steps. Use a larger ridge"):
        lookahead.score(*given(), solver="cg")


def test_a_kernel_that_is_no_kernel_is_noticed(monkeypatch, x64):
    times = labeled_kernel.LabeledKernel.times
    monkeypatch.setattr(labeled_kernel.LabeledKernel, "times", lambda self, v: -times(self, v))
    with pytest.raises(ValueError, match="not positive definite with this ridge"):
        lookahead.score(*given(), solver="cg")


def test_a_preconditioner_that_is_off_costs_iterations_and_nothing_else(monkeypatch, x64):
    among = labeled_kernel.LabeledKernel.among

    def indefinite(self, rows):
        theta = among(self, rows)
        return theta - 0.5 * theta.diagonal().mean() * np.eye(len(rows))

    monkeypatch.setattr(labeled_kernel.LabeledKernel, "among", indefinite)
    by_cholesky, by_iteration = (
        lookahead.score(*given(), solver=solver) for solver in lookahead.SOLVERS
    )
    np.testing.assert_allclose(by_iteration, by_cholesky, rtol=1e-6)


def test_residuals_that_are_not_finite_are_noticed(monkeypatch, x64):
    times = labeled_kernel.LabeledKernel.times
    monkeypatch.setattr(
        labeled_kernel.LabeledKernel, "times", lambda self, v: np.nan * times(self, v)
    )
    with pytest.raises(ValueError, match=r"not finite|not positive definite"):
        lookahead.score(*given(), solver="cg")


@pytest.mark.parametrize("tolerance", [1e-300, 1e-2, 1.0])
def test_a_tolerance_with_which_variances_may_be_wrong_is_refused(tolerance):
    with pytest.raises(ValueError, match=r"solver_tolerance must be between 1e-14 and 0.001"):
        lookahead.ScoreOptions(solver="cg", solver_tolerance=tolerance)


def test_a_budget_too_small_for_the_labels_that_choose_the_ridge_says_so(monkeypatch, x64):
    def among(self, rows):
        raise BudgetError("the kernel of 24 samples needs about 49 MiB")

    monkeypatch.setattr(labeled_kernel.LabeledKernel, "among", among)
    with pytest.raises(BudgetError, match=r"pass a number as ridge. The reason: the kernel"):
        lookahead.score(*given(), solver="cg", ridge="leave_one_out")


def test_it_cannot_be_jitted(x64):
    network, x_labeled, y_labeled, x_pool = given()

    def of(x):
        return lookahead.score(network, x_labeled, y_labeled, x, solver="cg")

    with pytest.raises(TypeError, match="solver='cg' decides on the host when to stop"):
        jax.jit(of)(x_pool)


@pytest.mark.parametrize(("num", "number"), [(1, 1), (5, 4), (16, 4), (33, 8)])
def test_bisection_makes_clusters_of_nearly_equal_size(num, number):
    points = np.random.default_rng(0).normal(size=(num, 3))
    parts = clusters.bisect(points, number)
    assert sorted(np.concatenate(parts).tolist()) == list(range(num))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_bisection_keeps_near_points_together():
    points = np.concatenate([np.full((4, 2), 1.0), np.full((4, 2), -1.0)])[[0, 4, 1, 5, 2, 6, 3, 7]]
    first, second = clusters.bisect(points, 2)
    assert {first[0] % 2, second[0] % 2} == {0, 1}
    assert len(set(first % 2)) == len(set(second % 2)) == 1
