"""The ridge that labels choose by leaving each of them out."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import lookahead
from ntk_al.lookahead import ridges
from tests import cases, helpers

L, U, C = 24, 6, 3


def kernel_and_targets(noise=0.3):
    """A smooth function on a line, observed with noise."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 6, 30))
    kernel = np.exp(-((x[:, None] - x) ** 2))
    targets = np.stack([np.sin(x), np.cos(x)], 1) + noise * rng.normal(size=(30, 2))
    return kernel, targets - targets.mean(0)


def plain_error(kernel, targets, ridge, size=1):
    """The error of predicting each label from all others, by as many solves."""
    noise, num = ridge * kernel.diagonal().mean(), len(kernel)
    errors = []
    for start in range(0, num, size):
        own = np.arange(start, start + size)
        others = np.delete(np.arange(num), own)
        among = kernel[np.ix_(others, others)] + noise * np.eye(len(others))
        solved = np.linalg.solve(among, targets[others])
        errors.append(targets[own] - kernel[np.ix_(own, others)] @ solved)
    return np.square(errors).mean()


def plain_choice(kernel, targets, size=1):
    errors = [plain_error(kernel, targets, ridge, size) for ridge in ridges.CANDIDATES]
    return ridges.CANDIDATES[int(np.argmin(errors))]


@pytest.mark.quick
@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0, 10.0])
def test_the_ridge_is_the_one_with_the_least_error_of_leaving_one_out(noise):
    kernel, targets = kernel_and_targets(noise)
    assert ridges.leave_one_out(kernel, targets) == plain_choice(kernel, targets)


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("noise", [0.3, 10.0])
def test_copies_of_an_example_with_its_label_do_not_vouch_for_each_other(noise, is_full):
    kernel, targets = kernel_and_targets(noise)
    x, size = np.arange(len(targets))[:, None], targets.shape[1] if is_full else 1
    kernel = np.kron(kernel, np.eye(size))
    thrice = np.tile(kernel, (3, 3)), np.tile(targets, (3, 1))
    of_different, of_copies = (
        ridges.resolved("leave_one_out", *thrice, x, is_full=is_full)
        for x in (np.arange(3 * len(x)), {"a": np.tile(x, (3, 1)), "b": np.zeros(3 * len(x))})
    )
    # λ of three labels of one example is a third of λ.
    column = targets.reshape(-1, 1) if is_full else targets
    errors = [plain_error(kernel, column, ridge / 3, size) for ridge in ridges.CANDIDATES]
    assert of_different < of_copies == ridges.CANDIDATES[int(np.argmin(errors))]


@pytest.mark.parametrize("options", [{}, cases.thorough({"solver": "cg"})], ids=str)
def test_labels_that_are_all_there_twice_choose_a_ridge_as_large(options, x64):
    network, x, y, x_pool = given()
    once, twice = (
        lookahead.select(
            network, np.tile(x, (n, 1, 1, 1)), np.tile(y, n), x_pool, 1, **options
        ).diagnostics.ridge
        for n in (1, 2)
    )
    assert once > 1e-3
    assert 1 <= twice / once < 4


def test_copies_with_other_labels_are_noise():
    kernel, targets = kernel_and_targets(0.0)
    flipped, x = np.concatenate([targets, -targets]), np.tile(np.arange(len(targets)), 2)
    assert ridges.resolved("leave_one_out", np.tile(kernel, (2, 2)), flipped, x) == 1


def test_noisier_labels_choose_a_larger_ridge():
    chosen = [ridges.leave_one_out(*kernel_and_targets(noise)) for noise in (0.0, 0.3, 10.0)]
    assert chosen[0] < chosen[1] < chosen[2]


def given():
    return (
        helpers.network(dtype=np.float64),
        helpers.images(L, seed=1, dtype=np.float64),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=np.float64),
    )


def plainly_chosen(readout="first_logit"):
    network, x, y, _ = given()
    targets = np.eye(C)[y] - np.eye(C)[y].mean(0)
    kernel = helpers.plain_gram(network, x, x, readout)
    return plain_choice(kernel, targets)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"x_eval": True},
        {"approximation": "landmarks", "rank": 4},
        {"solver": "cg"},
        {"readout": "sum_logits", "criterion": "epig"},
    ],
    ids=str,
)
def test_scores_are_those_with_the_chosen_ridge(options, x64):
    if "x_eval" in options:
        options = {**options, "x_eval": given()[3][:3]}
    ridge = float(plainly_chosen(options.get("readout", "first_logit")))
    assert ridge > 1e-4  # the labels are random
    chosen = lookahead.score(*given(), ridge=ridges.LEAVE_ONE_OUT, **options)
    np.testing.assert_allclose(chosen, lookahead.score(*given(), ridge=ridge, **options), rtol=1e-9)


def test_a_batch_takes_a_tenth_unless_told_otherwise_and_scores_the_ridge_of_the_paper(x64):
    batch, fitted, fixed = (
        lookahead.select(*given(), 3, **options)
        for options in ({}, {"ridge": "leave_one_out"}, {"ridge": np.asarray(1e-4)})
    )
    assert [found.diagnostics.is_ridge_fitted for found in (batch, fitted, fixed)] == [0, 1, 0]
    assert batch.diagnostics.ridge == pytest.approx(0.1)
    assert fitted.diagnostics.ridge > 1e-4
    for found, ridge in ((batch, 0.1), (fitted, "leave_one_out"), (fixed, 1e-4)):
        scores = lookahead.score(*given(), ridge=ridge)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-9)
    np.testing.assert_allclose(fixed.scores, lookahead.score(*given()), rtol=1e-9)


def test_the_kernel_of_all_logits_leaves_out_all_outputs_of_a_label(x64):
    network, x, y, x_pool = given()
    found = lookahead.select(
        network, x, y, x_pool, 1, readout="all_logits", ridge="leave_one_out"
    ).diagnostics.ridge

    def outputs(params):
        return network.module.apply({**network.variables, "params": params}, x)

    jacobian = jax.tree.leaves(jax.jacobian(outputs)(network.params))
    rows = np.concatenate([np.reshape(leaf, (L * C, -1)) for leaf in jacobian], 1)
    kernel = rows @ rows.T
    targets = (np.eye(C)[y] - np.eye(C)[y].mean(0)).reshape(-1, 1)
    assert found == pytest.approx(plain_choice(kernel, targets, size=C))


@pytest.mark.quick
@pytest.mark.parametrize(("num_labels", "num_classes"), [(64, 2), (32, 4), (16, 8)])
def test_it_does_not_matter_whether_padding_makes_the_kernel_as_large_as_one_of_all_logits(
    num_labels, num_classes
):
    """A kernel of few labels is padded to 128, which is L·C here."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(num_labels, 20))
    kernel = features @ features.T
    targets = np.eye(num_classes)[rng.integers(0, num_classes, num_labels)]
    padded = np.pad(kernel, (0, num_labels * num_classes - num_labels))
    expected = plain_choice(kernel, targets - targets.mean(0))
    assert ridges.resolved("leave_one_out", padded, targets, np.arange(len(targets))) == expected
    assert expected > 1e-4


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e3, 0.0])
def test_equal_targets_are_not_noisy(value):
    kernel, _ = kernel_and_targets()
    targets = np.full((len(kernel), 2), value, np.float32)
    assert (
        ridges.resolved("leave_one_out", kernel, targets, np.arange(len(targets)))
        == ridges.CANDIDATES[0]
    )


def test_it_works_under_jit(x64):
    network, x, y, x_pool = given()

    @jax.jit
    def of(x_pool):
        return lookahead.score(network, x, y, x_pool, ridge="leave_one_out")

    np.testing.assert_allclose(
        of(x_pool), lookahead.score(network, x, y, x_pool, ridge="leave_one_out"), rtol=1e-6
    )


def test_of_many_labels_a_sample_chooses(monkeypatch):
    kernel, targets = kernel_and_targets()
    monkeypatch.setattr(ridges, "MOST_LABELS", 20)
    rows = ridges.drawn(len(kernel))
    assert len(set(rows.tolist())) == 20
    few = targets[rows] - targets[rows].mean(0)
    assert ridges.resolved(
        "leave_one_out", kernel, targets, np.arange(len(targets))
    ) == ridges.leave_one_out(kernel[np.ix_(rows, rows)], few)


def test_of_the_kernel_of_all_logits_no_more_rows_are_drawn(monkeypatch):
    monkeypatch.setattr(ridges, "MOST_LABELS", 20)
    assert [len(ridges.drawn(60, size)) for size in (1, 3, 50)] == [20, 6, 2]
    kernel, targets = kernel_and_targets()
    size = targets.shape[1]
    kernel = np.kron(kernel, np.eye(size))
    rows = ridges.drawn(len(targets), size)
    columns = (size * rows[:, None] + np.arange(size)).ravel()
    few = (targets[rows] - targets[rows].mean(0)).reshape(-1, 1)
    x = np.arange(len(targets))
    found = ridges.resolved("leave_one_out", kernel, targets, x, is_full=True)
    assert found == ridges.leave_one_out(kernel[np.ix_(columns, columns)], few, size)


def test_other_names_are_refused():
    with pytest.raises(TypeError, match="ridge must be a number or 'leave_one_out', got 'loo'"):
        lookahead.ScoreOptions(ridge="loo")
