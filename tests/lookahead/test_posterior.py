from __future__ import annotations

import dataclasses
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_al import posterior
from ntk_al._utils import compat
from ntk_al.lookahead import score_posterior
from tests import helpers

RIDGE = 1e-3


def problem(num_labeled=6, num_query=9, num_classes=3, seed=0):
    """Kernel over labeled and query points with eigenvalues from 1e-2 to 10, logits, targets."""
    rng = np.random.default_rng(seed)
    n = num_labeled + num_query
    theta = helpers.kernel_with_spectrum(np.geomspace(1e-2, 10, n), seed)
    logits = rng.normal(size=(n, num_classes))
    targets = np.eye(num_classes)[rng.integers(0, num_classes, n)]
    return theta, logits, targets


def condition(theta, logits, targets, num_labeled, ridge=RIDGE):
    n = num_labeled
    return posterior.condition(
        helpers.square_blocks(theta, n), targets[:n] - logits[:n], logits[n:], ridge=ridge
    )


@pytest.mark.quick
def test_mean_is_kernel_regression_on_the_residual(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    noise = RIDGE * np.diagonal(theta)[:6].mean()
    expected = helpers.retrained(
        theta[6:, :6], theta[:6, :6], noise, targets[:6] - logits[:6], logits[6:]
    )
    chex.assert_trees_all_close(belief.mean, expected, atol=1e-12)
    chex.assert_trees_all_close(belief.offset, expected - logits[6:], atol=1e-12)


@pytest.mark.quick
def test_covariance_is_the_schur_complement(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    a = theta[:6, :6] + RIDGE * np.diagonal(theta)[:6].mean() * np.eye(6)
    expected = theta[6:, 6:] - theta[6:, :6] @ np.linalg.solve(a, theta[:6, 6:])
    chex.assert_trees_all_close(belief.covariance, expected, atol=1e-12)


@pytest.mark.quick
def test_the_printed_equation_12_without_the_inverse_is_wrong(x64):
    theta, *_ = problem()
    k_ll, k_lx = theta[:6, :6], theta[:6, 6:]
    with_inverse = theta[6:, 6:] - k_lx.T @ np.linalg.solve(k_ll, k_lx)
    as_printed = theta[6:, 6:] - k_lx.T @ (k_ll @ k_lx)
    full_inverse = np.linalg.inv(np.linalg.inv(theta)[6:, 6:])  # Schur complement, independently
    np.testing.assert_allclose(with_inverse, full_inverse, atol=1e-10)
    assert np.abs(as_printed - full_inverse).max() > 1


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 5))
def test_observing_one_by_one_equals_conditioning_at_once(seed, cut):
    with compat.enable_x64(True):
        theta, logits, targets = problem(seed=seed)
        at_once = condition(theta, logits, targets, 6)
        # λ is relative to the labeled diagonal: give the smaller set the same absolute one.
        noise = RIDGE * np.diagonal(theta)[:6].mean()
        ridge = noise / np.diagonal(theta)[:cut].mean()
        belief = condition(theta, logits, targets, cut, ridge)
        for j in range(6 - cut):
            belief = belief.observe(j, targets[cut + j])
        chex.assert_trees_all_close(belief.mean[6 - cut :], at_once.mean, atol=1e-9)
        rest = belief.covariance[6 - cut :, 6 - cut :]
        chex.assert_trees_all_close(rest, at_once.covariance, atol=1e-9)


@pytest.mark.quick
def test_a_block_of_observations_equals_their_sequence(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    block = belief.observe(np.array([4, 0, 7]), np.array([2, 1, 0]))
    one_by_one = belief.observe(4, 2).observe(0, 1).observe(7, 0)
    chex.assert_trees_all_close(block, one_by_one, atol=1e-12)


def test_a_label_moves_the_network_by_the_step_of_the_mean_or_not_at_all(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    moved = belief.observe(1, 0, move_network=True)
    np.testing.assert_allclose(moved.logits - belief.logits, moved.mean - belief.mean, atol=1e-12)
    np.testing.assert_allclose(moved.mean, belief.observe(1, 0).mean, rtol=1e-12)
    np.testing.assert_array_equal(belief.observe(1, 0).logits, belief.logits)
    assert np.abs(moved.logits - belief.logits).max() > 1e-3


def test_observing_in_any_order_gives_the_same_posterior(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    forward = belief.observe(np.array([1, 3, 5]), np.array([0, 1, 2]))
    backward = belief.observe(np.array([5, 3, 1]), np.array([2, 1, 0]))
    chex.assert_trees_all_close(forward, backward, atol=1e-10)


def test_conditioning_in_any_order_gives_the_same_posterior(x64):
    theta, logits, targets = problem()
    order = np.random.default_rng(1).permutation(6)
    shuffled = np.concatenate([order, np.arange(6, 15)])
    chex.assert_trees_all_close(
        dataclasses.asdict(
            condition(theta[np.ix_(shuffled, shuffled)], logits[shuffled], targets[shuffled], 6)
        ),
        dataclasses.asdict(condition(theta, logits, targets, 6)),
        atol=1e-9,
    )


L, Q, LABELS = 20, 150, 100


def degenerate(kind, dtype, seed=0):
    """A kernel whose rank is below the number of labels, with 34 pairs of copies, and targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(L + Q, 6))
    if kind == "mlp":  # the gradients of a network with four hidden units
        hidden, head = x @ rng.normal(size=(6, 4)), rng.normal(size=4)
        outer = x[:, :, None] * ((hidden > 0) * head)[:, None, :]
        rows = np.concatenate([np.maximum(hidden, 0), outer.reshape(len(x), -1)], 1)
    else:
        rows = x @ rng.normal(size=(6, 12))
    order = rng.permutation(len(x))
    rows[order[:34]] = rows[order[34:68]]
    rows = rows.astype(dtype)
    logits = 0.3 * rng.normal(size=(len(x), 3))
    return rows @ rows.T, logits, np.eye(3)[rng.integers(0, 3, len(x))]


def refit(theta, logits, targets, rows, noise):
    """Conditions once, in float64, on the labeled set and the query points that were labeled."""
    known = np.r_[:L, L + rows]
    with compat.enable_x64(True):
        order = np.r_[known, L : L + Q]
        theta = np.asarray(theta, np.float64)[np.ix_(order, order)]
        ridge = noise / np.diagonal(theta)[: len(known)].mean()
        return condition(theta, logits[order], targets[order], len(known), ridge)


def hundred_labels(belief, targets):
    rows = np.random.default_rng(1).permutation(Q)[:LABELS]
    for row in rows:
        belief = belief.observe(row, targets[L + row])
    return belief, rows


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize(
    ("dtype", "ridge"),  # with its rounding errors, a float32 kernel plus 1e-6 can be indefinite
    [*((np.float64, r) for r in (1e-6, 1e-4, 1e-2)), (np.float32, 1e-5), (np.float32, 1e-2)],
)
def test_a_hundred_sequential_labels_are_a_refit_in_float64(kind, dtype, ridge):
    theta, logits, targets = degenerate(kind, dtype)
    belief, rows = hundred_labels(condition(theta, logits, targets, L, ridge), targets)
    afresh = refit(theta, logits, targets, rows, float(belief.noise))
    np.testing.assert_allclose(belief.mean, afresh.mean, rtol=0, atol=1e-6)
    assert belief.floored == 0
    rest = np.setdiff1d(np.arange(Q), rows)
    scores, expected = (np.asarray(score_posterior(b))[rest] for b in (belief, afresh))
    assert scipy.stats.spearmanr(scores, expected).statistic > 0.9999


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize("ridge", [0.0, 1e-9, 1e-7])
@pytest.mark.filterwarnings("ignore:the kernel of the labeled set")
def test_below_the_rounding_of_the_kernel_a_belief_stays_finite_and_says_so(ridge, kind, dtype):
    theta, logits, targets = degenerate(kind, dtype)
    belief = condition(theta, logits, targets, L, ridge)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        belief, rows = hundred_labels(belief, targets)
    assert np.abs(belief.mean).max() < 1e3  # without a floor, it is infinite
    assert np.isfinite(score_posterior(belief)).all()
    lost = any("lost in rounding errors" in str(w.message) for w in said)
    assert lost == (belief.floored > 0)
    assert lost or dtype == np.float64
    if not lost:
        afresh = refit(theta, logits, targets, rows, float(belief.noise))
        np.testing.assert_allclose(belief.mean, afresh.mean, rtol=0, atol=1e-3)


def test_a_belief_stays_in_float64_and_its_scores_are_in_the_default_dtype():
    belief = condition(*problem(), 6)
    for b in (belief, belief.observe(2, 1), jax.jit(lambda b: b.observe(2, 1))(belief)):
        assert b.mean.dtype == b.covariance.dtype == b.offset.dtype == jnp.float64
        assert score_posterior(b).dtype == jnp.float32
    assert jnp.zeros(1).dtype == jnp.float32


def test_a_belief_that_is_not_finite_says_what_to_do():
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    s = np.array(belief.covariance)
    s[3, 4] = np.nan
    broken = dataclasses.replace(belief, covariance=jnp.asarray(s))
    with pytest.raises(ValueError, match=r"not finite after 1 labels.*choose a larger one"):
        broken.observe(4, 1)
    theta[7, 8] = theta[8, 7] = np.inf
    with pytest.raises(ValueError, match="posterior at the query points is not finite"):
        condition(theta, logits, targets, 6)


@pytest.mark.parametrize(
    ("row", "label"),
    [(9, 1), (-1, 1), (2, 3), (2, -1), (2, np.array([0.0, np.nan, 1.0], np.float32))],
)
def test_under_jit_a_label_that_is_out_of_range_changes_nothing_but_a_counter(row, label):
    belief = condition(*problem(), 6)
    observe = jax.jit(lambda belief, row, label: belief.observe(row, label))
    after = observe(belief, row, label)
    assert after.ignored == 1
    chex.assert_trees_all_equal(dataclasses.replace(after, ignored=belief.ignored), belief)
    good = observe(after, 2, 1)
    assert good.ignored == 1
    chex.assert_trees_all_close(good.mean, belief.observe(2, 1).mean, rtol=1e-12)


def test_under_jit_the_valid_labels_of_a_block_are_absorbed():
    belief = condition(*problem(), 6)
    observe = jax.jit(lambda belief, rows, labels: belief.observe(rows, labels))
    after = observe(belief, np.array([4, 9, 0, 7]), np.array([2, 1, 5, 0]))
    assert after.ignored == 2
    expected = belief.observe(np.array([4, 7]), np.array([2, 0]))
    chex.assert_trees_all_close(after.mean, expected.mean, atol=1e-12)
    chex.assert_trees_all_close(after.covariance, expected.covariance, atol=1e-12)


def test_a_scan_carries_a_belief_and_vmap_maps_it():
    belief = condition(*problem(), 6)
    rows, labels = np.array([4, 0, 7]), np.array([2, 1, 0])

    @jax.jit
    def one_by_one(belief):
        return jax.lax.scan(lambda b, o: (b.observe(*o), None), belief, (rows, labels))[0]

    chex.assert_trees_all_close(one_by_one(belief), belief.observe(rows, labels), atol=1e-12)
    scores = jax.jit(jax.vmap(lambda row: score_posterior(belief.observe(row, 1))))(rows)
    chex.assert_trees_all_close(scores[1], score_posterior(belief.observe(0, 1)), rtol=1e-5)


def test_an_observed_point_is_known_up_to_the_ridge(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6, ridge=1e-10).observe(2, 1)
    np.testing.assert_allclose(belief.mean[2], [0, 1, 0], atol=1e-6)
    assert abs(belief.covariance[2, 2]) < 1e-6


def test_a_label_equal_to_the_mean_changes_no_mean(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    same = belief.observe(3, belief.mean[3])
    chex.assert_trees_all_close(same.mean, belief.mean, atol=1e-14)


def test_a_posterior_is_a_pytree_that_jit_and_vmap_take():
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6)
    observe = jax.jit(lambda b, j, y: b.observe(j, y))
    chex.assert_trees_all_close(observe(belief, 2, 1), belief.observe(2, 1), rtol=1e-6)
    many = jax.vmap(lambda j: belief.observe(j, 1).mean)(jnp.arange(9))
    chex.assert_trees_all_close(many[4], belief.observe(4, 1).mean, rtol=1e-5)


def test_observing_more_labels_compiles_nothing_new(compilations):
    belief = condition(*problem(), 6).observe(0, 0)
    before = len(compilations)
    belief.observe(1, 2).observe(5, 1)
    assert len(compilations) == before


@pytest.mark.quick
def test_a_singular_kernel_is_factorized_with_a_larger_ridge_and_says_so(x64):
    theta, logits, targets = problem()
    theta[5] = theta[4]
    theta[:, 5] = theta[:, 4]  # two labeled points are one: rank deficient
    theta[5, 5] = theta[4, 4] * (1 - 1e-6)  # and rounding has made it indefinite
    with pytest.warns(UserWarning, match="not positive definite with ridge=1e-12"):
        belief = condition(theta, logits, targets, 6, ridge=1e-12)
    assert 1e-12 < belief.ridge <= 1e-4
    assert np.isfinite(belief.mean).all()
    assert belief.noise == pytest.approx(belief.ridge * np.diagonal(theta)[:6].mean())


def test_a_well_conditioned_kernel_keeps_the_ridge_it_was_given(x64):
    assert condition(*problem(), 6, ridge=1e-5).ridge == pytest.approx(1e-5)


def test_float32_kernels_are_factorized_in_float64():
    gap = 2.0**-21
    theta = np.float32([[1 + gap, 1], [1, 1 + gap]])  # exact; its second pivot is 2 gap
    blocks = helpers.square_blocks(np.pad(theta, ((0, 1), (0, 1))), 2)
    blocks = dataclasses.replace(blocks, labeled_pool=np.float32([[1], [0]]))
    belief = posterior.condition(blocks, np.float32([[1], [-1]]), np.zeros((1, 1)), ridge=0.0)
    np.testing.assert_allclose(belief.mean, [[1 / gap]], rtol=1e-6)


def test_condition_number_is_that_of_the_regularized_kernel(x64):
    theta, logits, targets = problem(num_labeled=12, num_query=1)
    theta[:12, :12] = helpers.kernel_with_spectrum(np.geomspace(1e-3, 10, 12))
    belief = condition(theta, logits, targets, 12, ridge=1e-3)
    a = theta[:12, :12] + float(belief.noise) * np.eye(12)
    assert belief.condition_number == pytest.approx(np.linalg.cond(a), rel=0.05)


def test_a_ridge_of_zero_solves_the_equations_as_printed(x64):
    theta, logits, targets = problem()
    belief = condition(theta, logits, targets, 6, ridge=0)
    expected = helpers.retrained(
        theta[6:, :6], theta[:6, :6], 0, targets[:6] - logits[:6], logits[6:]
    )
    chex.assert_trees_all_close(belief.mean, expected, atol=1e-10)


@pytest.mark.filterwarnings("ignore:.*lost in rounding errors")
def test_a_query_point_that_is_labeled_already_stays_finite():
    theta, logits, targets = problem()
    theta[6], logits[6] = theta[0], logits[0]
    theta[:, 6] = theta[:, 0]
    theta[6, 6] = theta[0, 0]
    for ridge in (0.0, 1e-8, 1e-4):
        belief = condition(theta, logits, targets, 6, ridge=ridge).observe(0, 2).observe(0, 1)
        assert np.isfinite(belief.mean).all()
        assert np.isfinite(belief.covariance).all()


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (-np.eye(15), "not positive definite even with a ridge of"),
        (np.full((15, 15), np.nan), "not positive definite"),
        (np.zeros((15, 15)), "dead network"),
    ],
)
def test_a_kernel_that_cannot_be_factorized_is_explained(theta, message):
    _, logits, targets = problem()
    with pytest.raises(ValueError, match=message):
        condition(theta, logits, targets, 6)


@pytest.mark.parametrize(
    ("index", "label", "message"),
    [
        (9, 0, r"index must be in 0\.\.8, got 9"),
        (-1, 0, r"index must be in 0\.\.8, got -1"),
        (0, 3, r"class ids in 0\.\.2"),
        (0, np.zeros(2, np.float32), "real targets must have shape"),
        (np.array([0, 1]), np.array([0]), "1 labels for 2 examples"),
    ],
)
def test_observations_that_do_not_fit_are_refused(index, label, message):
    with pytest.raises(ValueError, match=message):
        condition(*problem(), 6).observe(index, label)


@pytest.mark.parametrize("ridge", [-1e-4, np.nan, np.inf])
def test_an_invalid_ridge_is_refused(ridge):
    with pytest.raises(ValueError, match="ridge must be"):
        condition(*problem(), 6, ridge=ridge)


def test_blocks_of_other_shapes_are_refused():
    theta, logits, targets = problem()
    blocks = helpers.square_blocks(theta, 6)
    with pytest.raises(ValueError, match="with themselves"):
        posterior.condition(
            dataclasses.replace(blocks, eval_pool=theta[6:, :6]), targets[:6], logits[6:]
        )
    with pytest.raises(ValueError, match=r"residual = Y − f\(X_L\) as \[L, C\]"):
        posterior.condition(blocks, targets[:6, 0], logits[6:])
    with pytest.raises(ValueError, match=r"with Q = 9, got shapes \(6, 3\) and \(3, 9\)"):
        posterior.condition(blocks, targets[:6], logits[6:].T)
    with pytest.raises(ValueError, match="takes labeled"):
        posterior.factorize(theta[:6, :6], targets[:5])
