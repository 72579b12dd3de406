"""The kernel of every pair of logits, and look-ahead with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, kernels, lookahead
from ntk_al.lookahead import full_posterior, posterior
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from tests import cases, helpers

L, E, U, C = 5, 4, 6, 3
CASES = cases.crossed(list(LABEL_CRITERIA), lookahead.REFERENCES)


def sets():
    return (
        helpers.images(L, seed=1, dtype=np.float64),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=np.float64),
        helpers.images(E, seed=3, dtype=np.float64),
    )


@jax.jit
def gradient(net, x, c):
    """∂f_c/∂θ of one example by itself, flat."""
    leaves = jax.tree.leaves(
        jax.grad(lambda p: net.with_params(p).logits(x[None])[0, c])(net.params)
    )
    return jnp.concatenate([leaf.ravel() for leaf in leaves])


def plain_full_gram(net, x1, x2):
    """One gradient for each logit of each sample, one inner product at a time; [N1, C, N2, C]."""
    rows1, rows2 = (
        np.array([[gradient(net, x, c) for c in range(C)] for x in xs]) for xs in (x1, x2)
    )
    return np.einsum("ncp,mdp->ncmd", rows1, rows2)


@pytest.mark.quick
def test_full_gram_is_made_of_single_gradients(x64):
    net = helpers.network(dtype=np.float64)
    x1, _, x2, _ = sets()
    expected = plain_full_gram(net, x1, x2)
    theta = kernels.full_gram(net, x1, x2)
    np.testing.assert_allclose(theta, expected.reshape(L * C, U * C), rtol=1e-10)
    symmetric = np.asarray(kernels.full_gram(net, x1))
    np.testing.assert_allclose(symmetric, symmetric.T, rtol=1e-12)
    own = np.einsum("ncnd->ncd", symmetric.reshape(L, C, L, C))
    np.testing.assert_allclose(kernels.full_diagonal(net, x1), own, rtol=1e-10)


def test_the_block_of_the_first_logit_is_the_kernel_of_that_readout(x64):
    net = helpers.network(dtype=np.float64)
    x, _, _, _ = sets()
    theta = np.asarray(kernels.full_gram(net, x)).reshape(L, C, L, C)
    np.testing.assert_allclose(theta[:, 0, :, 0], kernels.gram(net, x), rtol=1e-10)
    total = theta.sum((1, 3)) / C
    np.testing.assert_allclose(total, kernels.gram(net, x, readout="sum_logits"), rtol=1e-10)


@pytest.mark.parametrize(("criterion", "reference"), CASES)
def test_look_ahead_equals_solving_equation_11_with_the_full_kernel_afresh(
    criterion, reference, x64
):
    net, ridge = helpers.network(dtype=np.float64), 1e-3
    x_l, y_l, x_u, x_e = sets()
    x = np.concatenate([x_l, x_e, x_u])
    theta = plain_full_gram(net, x, x)
    logits, targets = np.asarray(net.predict(x)), np.eye(C)[y_l]
    labeled, evaluation = np.arange(L), np.arange(L, L + E)
    noise = ridge * np.mean([theta[n, c, n, c] for n in labeled for c in range(C)])

    def after(known, residual):
        a = theta[known][:, :, known].reshape(len(known) * C, -1)
        cross = theta[evaluation][:, :, known].reshape(E * C, -1)
        moved = helpers.retrained(cross, a, noise, residual.reshape(-1, 1), 0)
        return logits[evaluation] + moved.reshape(E, C)

    before = logits[evaluation]
    if reference == "linearized":
        before = after(labeled, targets - logits[:L])
    expected = []
    for j in range(L + E, L + E + U):
        known = np.append(labeled, j)
        outputs = [
            after(known, np.vstack([targets, np.eye(C)[y]]) - logits[known]) for y in range(C)
        ]
        plain = helpers.PLAIN_CRITERIA[criterion]
        expected.append(plain(outputs.__getitem__, before, logits[j]))
    options = {"criterion": criterion, "reference": reference, "ridge": ridge}
    options["predictive"] = helpers.PREDICTIVE
    scores = lookahead.score(net, x_l, y_l, x_u, x_eval=x_e, readout="all_logits", **options)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)


def test_variance_is_what_a_label_of_all_outputs_takes_from_an_output_on_average(x64):
    net, ridge = helpers.network(dtype=np.float64), 1e-3
    x_l, y_l, x_u, x_e = sets()
    x = np.concatenate([x_l, x_e, x_u])
    theta = plain_full_gram(net, x, x).reshape(len(x) * C, -1)
    rows = np.arange(len(x) * C).reshape(-1, C)
    noise = ridge * np.diagonal(theta)[: L * C].mean()
    expected = helpers.plain_variance_removed(
        theta, noise, rows[:L].ravel(), rows[L : L + E].ravel(), rows[L + E :]
    )
    options = {"criterion": "variance", "ridge": ridge, "readout": "all_logits"}
    scores = lookahead.score(net, x_l, y_l, x_u, x_eval=x_e, **options)
    np.testing.assert_allclose(scores, expected / C, rtol=1e-8)


def test_without_an_evaluation_set_the_pool_is_evaluated(x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets()
    plain = lookahead.score(net, x_l, y_l, x_u, readout="all_logits")
    belief = full_posterior.condition(
        kernels.full_blocks(net, x_l, x_u), np.eye(C)[y_l] - net.predict(x_l), net.predict(x_u)
    )
    np.testing.assert_allclose(plain, lookahead.score_posterior(belief), rtol=1e-10)
    same = lookahead.score(net, x_l, y_l, x_u, x_eval=x_u, readout="all_logits")
    np.testing.assert_allclose(plain, same, rtol=1e-9)


def test_observing_equals_conditioning_on_the_larger_set(x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets()
    residual, logits = np.eye(C)[y_l] - net.predict(x_l), net.predict(x_u)
    belief = full_posterior.condition(kernels.full_blocks(net, x_l, x_u), residual, logits)
    moved = belief.observe(np.array([1, 4]), np.array([2, 0]))
    # λ must be the same for both: it is relative to the mean diagonal of the labeled set.
    x_more = np.concatenate([x_l, x_u[[1, 4]]])
    blocks = kernels.full_blocks(net, x_more, x_u)
    ridge = float(belief.noise) / float(np.diagonal(blocks.labeled).mean())
    more = full_posterior.condition(
        blocks, np.eye(C)[np.append(y_l, [2, 0])] - net.predict(x_more), logits, ridge=ridge
    )
    np.testing.assert_allclose(moved.mean, more.mean, atol=1e-8)
    np.testing.assert_allclose(moved.covariance, more.covariance, atol=1e-8)


def test_under_jit_a_label_that_is_out_of_range_is_counted_and_changes_nothing():
    net = helpers.network()
    x_l, y_l, x_u, _ = (np.asarray(a, np.float32) for a in sets())
    residual, logits = np.eye(C)[y_l.astype(int)] - net.predict(x_l), net.predict(x_u)
    belief = full_posterior.condition(kernels.full_blocks(net, x_l, x_u), residual, logits)
    observe = jax.jit(lambda belief, row, label: belief.observe(row, label))
    for row, label in ((U, 1), (-1, 1), (2, C)):
        after = observe(belief, row, label)
        assert after.ignored == 1
        np.testing.assert_array_equal(after.mean, belief.mean)
        np.testing.assert_array_equal(after.covariance, belief.covariance)


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_where_all_classes_share_a_kernel_it_is_the_fast_path(criterion, x64):
    """A linear model has Θ ⊗ I_C exactly, so both ways must agree."""
    module = helpers.Linear(C)
    x_l, y_l, x_u, x_e = sets()
    variables = module.init(jax.random.key(0), x_l)
    net = Network(module, jax.tree.map(lambda leaf: leaf.astype(np.float64), variables))
    joint, single = (
        lookahead.score(
            net, x_l, y_l, x_u, x_eval=x_e, readout=readout, criterion=criterion, ridge=1e-3
        )
        for readout in ("all_logits", "first_logit")
    )
    np.testing.assert_allclose(joint, single, rtol=1e-9, atol=1e-9)


def test_duplicates_of_labeled_points_stay_finite():
    net = helpers.network()
    x_l, y_l, x_u, _ = (np.asarray(a, np.float32) for a in sets())
    scores = lookahead.score(
        net, x_l, y_l.astype(int), np.concatenate([x_u, x_l]), readout="all_logits", ridge=1e-8
    )
    assert np.isfinite(scores).all()


def test_what_does_not_fit_or_go_together_is_refused():
    net = helpers.network()
    x_l, y_l, x_u, _ = (np.asarray(a, np.float32) for a in sets())
    y_l = y_l.astype(int)
    with pytest.raises(ValueError, match=r"needs about 66.9 KiB for 33 logits"):
        lookahead.score(net, x_l, y_l, x_u, readout="all_logits", memory_budget=1000)
    with pytest.raises(ValueError, match="neither a mesh nor a precision"):
        lookahead.score(net, x_l, y_l, x_u, readout="all_logits", precision="bfloat16")
    with pytest.raises(ValueError, match=r"residual \[L, C\] and logits \[Q, C\]"):
        full_posterior.condition(kernels.full_blocks(net, x_l, x_u), np.ones(L), np.ones((U, C)))


def test_a_posterior_says_what_a_row_must_be():
    belief = posterior.Posterior(*(np.ones(s) for s in ((4, 3), (4, 4), (4, 3), (), (), ())))
    with pytest.raises(TypeError, match="rows, as integers"):
        belief.observe(1.5, 0)
    with pytest.raises(ValueError, match="a row or a list of rows"):
        belief.observe(np.array([], int), np.array([], int))
