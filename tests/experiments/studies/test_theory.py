from __future__ import annotations

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from absl.flags import FlagValues

from experiments.figures import theory
from experiments.studies import (
    activations,
    descent,
    linearization,
    networks,
    results,
    scaling,
    sequential_training,
)
from experiments.studies.problem import draw_problem
from experiments.studies.settings import Settings
from ntk_al.training import DivergedError

QUICK = Settings(depth=1, num_labeled=6, num_test=12, tolerance=1e-3)
WIDTHS, SEEDS = (32, 512), (0, 1)
MODULES = {"sequential_training": sequential_training, "linearization": linearization}
ACTIVATIONS = sorted(activations.ACTIVATIONS)


@pytest.fixture(scope="module")
def measured():
    """The results of both studies at two widths."""
    return {name: module.measure(WIDTHS, SEEDS, QUICK) for name, module in MODULES.items()}


def random_kernel(num, seed=0):
    factor = np.random.default_rng(seed).normal(size=(num, 2 * num))
    return factor @ factor.T / num


def network(width, settings=QUICK, seed=0):
    problem = draw_problem(jax.random.key(seed), settings)
    params = networks.initialize(jax.random.key(seed), width, 64, 10, settings)
    return problem, params


def jacobian(params, x, activation, num_logits=10):
    """∂f/∂θ for every logit of every input, ``[N·C, P]``, in float64."""
    leaves = jax.jit(jax.jacrev(lambda p: networks.apply(p, x, activation)[:, :num_logits]))(params)
    rows = [np.asarray(leaf, np.float64).reshape(len(x) * num_logits, -1) for leaf in leaves]
    return np.concatenate(rows, 1)


# Infinite width


def test_kernel_flow_is_a_matrix_exponential():
    theta, rng = random_kernel(7), np.random.default_rng(1)
    f, y, time = rng.normal(size=(7, 2)), rng.normal(size=(4, 2)), 0.3
    found = sequential_training.flow(f, theta, y, time)
    left = scipy.linalg.expm(-time * theta[:4, :4]) @ (y - f[:4])
    np.testing.assert_allclose(y - found[:4], left, rtol=1e-10)
    # Outside the labels, a step of the flow is a step of kernel gradient descent.
    steps, by_steps = 20_000, f.copy()
    for _ in range(steps):
        by_steps = by_steps + time / steps * theta[:, :4] @ (y - by_steps[:4])
    np.testing.assert_allclose(found, by_steps, atol=1e-3)


def test_kernel_flow_ends_where_one_solve_says():
    theta, rng = random_kernel(7), np.random.default_rng(1)
    f, y = rng.normal(size=(7, 2)), rng.normal(size=(4, 2))
    end = sequential_training.converged(f, theta, y)
    np.testing.assert_allclose(end[:4], y, atol=1e-12)
    np.testing.assert_allclose(sequential_training.flow(f, theta, y, 1e4), end, atol=1e-12)


def test_at_infinite_width_a_candidate_learned_last_is_one_learned_along():
    row = sequential_training.infinite_row(0, QUICK)
    assert row["gap"] < 1e-10
    ends = {(each["first"], each["second"]): each["gap"] for each in row["flow"]}
    assert all(ends[first, 40.0] < 1e-10 for first in sequential_training.FIRST_TIMES)


def test_at_infinite_width_a_second_phase_that_is_cut_short_leaves_a_gap():
    row = sequential_training.infinite_row(0, QUICK)
    gaps = [each["gap"] for each in row["flow"] if each["first"] == 40.0]
    assert gaps[0] > gaps[1] > 1e-3
    assert gaps == sorted(gaps, reverse=True)


def test_labels_that_the_second_phase_forgets_leave_a_gap():
    theta, rng = random_kernel(9), np.random.default_rng(1)
    f, y = rng.normal(size=(9, 2)), rng.normal(size=(5, 2))
    scratch = sequential_training.converged(f, theta, y)
    first = sequential_training.flow(f, theta, y[:-1], 1e4)
    last = np.r_[4, 0:4, 5:9]  # the candidate before all other points
    alone = sequential_training.flow(first[last], theta[np.ix_(last, last)], y[-1:], 1e4)
    assert np.abs(alone[5:] - scratch[5:]).max() > 1e-2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_kernel_of_a_wide_network_is_near_that_of_infinite_width(activation):
    settings = dataclasses.replace(QUICK, activation=activation)
    problem, params = network(8192, settings)
    x = np.concatenate([problem.x, problem.x_test])
    _, limit = networks.infinite_kernels(x, settings)
    rows = jacobian(params, x, activation, num_logits=1)
    assert np.linalg.norm(rows @ rows.T - limit) < 0.05 * np.linalg.norm(limit)


# Finite width


@pytest.mark.parametrize(("activation", "depth"), [("erf", 1), ("relu", 2)])
def test_the_linearized_network_ends_at_the_kernel_regression_of_all_logits(activation, depth):
    settings = dataclasses.replace(QUICK, activation=activation, depth=depth, tolerance=1e-5)
    problem, params = network(128, settings)
    rate = descent.learning_rate(params, problem.x, settings)
    found = descent.train_linearized(params, problem.x, problem.y, settings, rate=rate)
    after = networks.linearized_outputs(params, found.params, problem.x_test, activation=activation)
    x = np.concatenate([problem.x, problem.x_test])
    rows, before = jacobian(params, x, activation), networks.apply(params, x, activation)
    residual = (problem.y - before[: len(problem.y)]).ravel()
    theta, num = rows @ rows.T, residual.size
    change = theta[num:, :num] @ np.linalg.solve(theta[:num, :num], residual)
    expected = before[len(problem.y) :] + change.reshape(-1, 10)
    np.testing.assert_allclose(after, expected, atol=1e-4)
    # Gradient descent on the linearized network is stable.
    assert rate == pytest.approx(1 / np.linalg.eigvalsh(theta[:num, :num])[-1], rel=0.05)


def test_training_reaches_its_tolerance_of_the_residual_at_initialization():
    problem, params = network(32)
    rate = descent.learning_rate(params, problem.x, QUICK)

    def norm(params):
        return np.linalg.norm(networks.apply(params, problem.x, "relu") - problem.y)

    found = descent.train(params, problem.x, problem.y, QUICK, rate=rate)
    assert norm(found.params) / norm(params) == pytest.approx(found.residual, rel=1e-3)
    assert found.residual <= QUICK.tolerance
    again = descent.train(found.params, problem.x, problem.y, QUICK, rate=rate, initial=params)
    assert again.steps == 0


def test_training_that_diverges_is_an_error():
    problem, params = network(32)
    with pytest.raises(DivergedError, match=r"should be 0\.001"):
        descent.train(params, problem.x, problem.y, QUICK, rate=100.0)


def test_digits_are_drawn_by_the_key_and_lie_on_a_sphere():
    problem, again, other = (draw_problem(jax.random.key(k), QUICK) for k in (0, 0, 1))
    np.testing.assert_array_equal(problem.x, again.x)
    assert not np.array_equal(problem.x, other.x)
    assert problem.x.shape == (7, 64)
    assert problem.x_test.shape == (12, 64)
    np.testing.assert_array_equal(problem.y.sum(1), 1)
    np.testing.assert_allclose((problem.x**2).mean(1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_gaps_fall_with_the_width(measured, name):
    study, rows = MODULES[name].STUDY, measured[name]["rows"]
    for quantity in study.quantities:
        small, large = (
            np.mean([row[quantity] for row in rows if row["width"] == width]) for width in WIDTHS
        )
        assert large < small / 2
        assert measured[name]["slopes"][quantity]["mean"] < -0.25


@pytest.mark.parametrize("name", MODULES)
def test_results_are_json_with_a_row_for_each_width_and_seed(measured, name):
    found = measured[name]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    widths = [None, *WIDTHS] if MODULES[name].STUDY.infinite else WIDTHS
    cases = [(row["width"], row["seed"]) for row in found["rows"]]
    assert cases == [(width, seed) for width in widths for seed in SEEDS]
    assert found["definition"] == {"study": name, **dataclasses.asdict(QUICK)}


# Files


def rows_of_arithmetic(width, seed, settings):
    return {"gap": (1 + seed) * settings.tolerance / (width or 1e9)}


STUDY = results.Study("arithmetic", ("gap",), rows_of_arithmetic, infinite=True)


def test_a_study_that_is_killed_goes_on_where_it_was(tmp_path):
    class Killed(BaseException):
        pass

    shown = []

    def show(row):
        shown.append((row["width"], row["seed"]))
        if shown[-1] == (8, 1):
            raise Killed

    with pytest.raises(Killed):
        results.complete(STUDY, [16, 8], range(2), QUICK, str(tmp_path), show=show)
    found = results.complete(STUDY, [16, 8], range(2), QUICK, str(tmp_path), show=show)
    assert shown == [(None, 0), (None, 1), (8, 0), (8, 1), (16, 0), (16, 1)]
    assert found == results.measure(STUDY, [8, 16, 8], range(2), QUICK)
    assert json.loads((tmp_path / "arithmetic.json").read_text()) == found
    assert [path.name for path in tmp_path.iterdir()] == ["arithmetic.json"]


def test_a_finished_study_is_continued_with_more_widths_and_seeds(tmp_path):
    results.complete(STUDY, [8], range(1), QUICK, str(tmp_path))
    found = results.complete(STUDY, [4, 16], range(2), QUICK, str(tmp_path))
    cases = [(row["width"], row["seed"]) for row in found["rows"]]
    assert cases == [(None, 0), (None, 1), (4, 0), (4, 1), (8, 0), (16, 0), (16, 1)]


def test_a_file_of_another_definition_is_refused_and_stays(tmp_path):
    results.complete(STUDY, [8], range(1), QUICK, str(tmp_path))
    before = (tmp_path / "arithmetic.json").read_bytes()
    other = dataclasses.replace(QUICK, num_test=3)
    with pytest.raises(FileExistsError, match=r"'num_test': 12.*'num_test': 3.*--workdir"):
        results.complete(STUDY, [16], range(1), other, str(tmp_path))
    assert (tmp_path / "arithmetic.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", '{"rows": []}', '{"definition": {}, "rows": 1}'])
def test_a_damaged_file_is_refused_and_stays(tmp_path, content):
    (tmp_path / "arithmetic.json").write_text(content)
    with pytest.raises(ValueError, match=r"arithmetic\.json is damaged"):
        results.complete(STUDY, [8], range(1), QUICK, str(tmp_path))
    assert (tmp_path / "arithmetic.json").read_text() == content


def test_a_command_line_has_all_settings(tmp_path, capsys):
    values = FlagValues()
    results.define_flags(values)
    values(["", f"--workdir={tmp_path}", "--widths=4,8", "--seeds=3", "--activation=erf"])
    found = results.run(STUDY, values)
    assert found["definition"] == {"study": "arithmetic", **vars(Settings(activation="erf"))}
    assert len(found["rows"]) == 9
    *rows, slope = capsys.readouterr().out.splitlines()
    assert len(rows) == 9
    assert slope == "slope of gap: mean -1  low -1  high -1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "sine"}, "unknown activation 'sine'; known: erf, relu"),
        ({"tolerance": 0.0}, "tolerance must be a positive finite number"),
        ({"depth": 0}, "depth must be a positive"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


def test_more_digits_than_there_are_are_refused():
    with pytest.raises(ValueError, match="num_test asks for 451 digits, but there are only 450"):
        draw_problem(jax.random.key(0), dataclasses.replace(QUICK, num_test=451))


# Statistics and figures


def test_means_are_geometric_and_have_intervals_of_student():
    rows = [{"width": 8, "seed": s, "gap": gap} for s, gap in enumerate([1.0, 10.0, 100.0])]
    (row,) = scaling.by_width([{"width": None, "seed": 0, "gap": 0.0}, *rows], "gap")
    reach = scipy.stats.t.ppf(0.975, 2) / math.sqrt(3)  # in decades; their deviation is one
    assert (row["width"], row["n"]) == (8, 3)
    np.testing.assert_allclose(
        [row["mean"], row["low"], row["high"]], [10, 10 ** (1 - reach), 10 ** (1 + reach)]
    )
    assert scaling.by_width(rows[:1], "gap")[0]["low"] is None


def test_slopes_are_fitted_to_each_seed_that_has_all_widths():
    rows = [
        {"width": width, "seed": seed, "gap": (seed + 1) * width**-power}
        for seed, power in enumerate((0.4, 0.6))
        for width in (4, 16, 64)
    ]
    found = scaling.slope([*rows, {"width": 4, "seed": 2, "gap": 9.0}], "gap")
    np.testing.assert_allclose(found["of_seeds"], [-0.4, -0.6])
    reach = 0.1 * scipy.stats.t.ppf(0.975, 1)  # the standard error is 0.1
    np.testing.assert_allclose(
        [found["mean"], found["low"], found["high"]], [-0.5, -0.5 - reach, -0.5 + reach]
    )
    assert scaling.slope(rows[:1], "gap") is None


@pytest.fixture
def axes():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    yield axes
    figure.canvas.draw()
    plt.close(figure)


@pytest.mark.parametrize("name", MODULES)
def test_a_figure_shows_each_row_and_the_means(measured, name, axes):
    found = measured[name]
    getattr(theory, f"draw_{name}")(found, axes)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    drawn = [sorted(line.get_ydata()) for line in axes.lines]
    finite = [row for row in found["rows"] if row["width"] is not None]
    main = MODULES[name].STUDY.quantities[0]
    assert sorted(row[main] for row in finite) in drawn
    assert sorted(row["mean"] for row in theory.rows(found)) in drawn
    texts = [text.get_text() for text in axes.texts]
    assert any(f"{found['slopes'][main]['mean']:.2f}".replace("-", "−") in t for t in texts)
    assert any("infinite width" in text for text in texts) == MODULES[name].STUDY.infinite


@pytest.mark.parametrize("name", MODULES)
def test_a_figure_of_one_seed_or_one_width_has_no_interval_or_slope(measured, name, axes):
    one = [row for row in measured[name]["rows"] if row["seed"] == 0 and row["width"] != WIDTHS[1]]
    found = results.result(MODULES[name].STUDY, QUICK, one)
    getattr(theory, f"draw_{name}")(found, axes)
    assert [(row["low"], row["n"]) for row in theory.rows(found)] == [(None, 1)]


def test_rows_of_a_figure_are_the_data(measured):
    found = measured["sequential_training"]
    for quantity in ("gap", "gap_of_change"):
        for row in theory.rows(found, quantity):
            own = [each[quantity] for each in found["rows"] if each["width"] == row["width"]]
            assert row["n"] == len(SEEDS)
            assert row["mean"] == pytest.approx(math.prod(own) ** (1 / len(own)))
            assert row["low"] < row["mean"] < row["high"]
