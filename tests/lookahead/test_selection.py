"""Selection, beside dense refits in which the choices so far are labeled by the network."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import Network, kernels, lookahead
from ntk_al.lookahead import posterior
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from tests import cases, helpers
from tests.lookahead.test_tasks import in_disguise

L, E, U, K = 6, 5, 8, 5
RIDGE = 1e-3
CASES = cases.crossed(list(lookahead.CRITERIA), lookahead.REFERENCES)


def sets(dtype=np.float32):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=dtype),
        helpers.images(E, seed=3, dtype=dtype),
    )


def given():
    return helpers.network(), *sets()[:3]


def refitted_greedily(net, x_l, y_l, x_u, x_e, *, criterion, reference):
    """Rows in order: after each choice, the kernel regression with its label is solved afresh."""
    x = np.concatenate([x_l, x_e, x_u])
    theta, f = helpers.plain_gram(net, x, x), np.asarray(net.predict(x))
    noise = RIDGE * np.diagonal(theta)[:L].mean()
    targets, rows = np.eye(3)[y_l], []

    def mean():
        known = np.r_[:L, L + E + np.array(rows, int)]
        among = theta[np.ix_(known, known)]
        return helpers.retrained(theta[:, known], among, noise, targets - f[known], f)

    start = mean()
    for _ in range(K):
        moved = f + mean() - start
        left = np.setdiff1d(np.arange(U), rows)
        points = np.r_[:L, L + E + np.array(rows, int), L : L + E, L + E + left]
        scores = helpers.naive_scores(
            theta[np.ix_(points, points)],
            f[points],
            targets,
            num_labeled=L + len(rows),
            num_eval=E,
            criterion=criterion,
            reference="linearized" if rows else reference,
            ridge=None,
            noise=noise,
            moved=moved[points],
        )
        rows.append(left[scores.argmax()])
        targets = np.vstack([targets, np.eye(3)[moved[L + E + rows[-1]].argmax()]])
    return rows


@pytest.mark.parametrize(("criterion", "reference"), CASES)
def test_a_greedy_batch_is_chosen_by_refits_with_the_labels_of_the_network(
    criterion, reference, x64
):
    net, arrays = helpers.network(dtype=np.float64), sets(np.float64)
    options = {"criterion": criterion, "reference": reference}
    chosen = lookahead.select(
        net,
        *arrays[:3],
        K,
        x_eval=arrays[3],
        ridge=RIDGE,
        predictive=helpers.PREDICTIVE,
        **options,
    )
    assert chosen.rows.tolist() == refitted_greedily(net, *arrays, **options)


@pytest.mark.parametrize("criterion", lookahead.TASKS["regression"].criteria)
def test_a_greedy_batch_of_a_regression_observes_the_mean(criterion, x64):
    """The outputs stay, and only the variance shrinks: chosen by refits with those labels."""
    net = helpers.network(num_classes=2, dtype=np.float64)
    x_l, _, x_u, _ = sets(np.float64)
    y_l = np.random.default_rng(0).normal(size=(L, 2))
    options = {"criterion": criterion, "task": "regression", "ridge": RIDGE}
    chosen = lookahead.select(net, x_l, y_l, x_u, K, **options)
    x = np.concatenate([x_l, x_u])
    theta, f = helpers.plain_gram(net, x, x), np.asarray(net.predict(x))
    noise = RIDGE * np.diagonal(theta)[:L].mean()
    rows = [int(np.argmax(lookahead.score(net, x_l, y_l, x_u, **options)))]
    known, targets = np.arange(L), y_l
    while len(rows) < K:
        a = theta[np.ix_(known, known)] + noise * np.eye(len(known))
        mean = f[L:] + theta[L:, known] @ np.linalg.solve(a, targets - f[known])
        known = np.append(known, L + rows[-1])
        targets = np.vstack([targets, mean[rows[-1]]])
        a = theta[np.ix_(known, known)] + noise * np.eye(len(known))
        s = theta[L:, L:] - theta[L:, known] @ np.linalg.solve(a, theta[known, L:])
        reach = s / (own := np.diagonal(s) + noise)
        scores = {
            "emoc": np.sqrt(own) * np.abs(reach).sum(0),
            "variance": (reach * s).sum(0),
            "epig": -np.log1p(-reach * s / own[:, None]).sum(0) / 2,
        }
        scores[criterion][rows] = -np.inf
        rows.append(int(scores[criterion].argmax()))
    assert chosen.rows.tolist() == rows


@pytest.mark.parametrize("criterion", LABEL_CRITERIA)
def test_a_greedy_batch_of_one_logit_is_that_of_the_two_logits_it_stands_for(criterion, x64):
    net = helpers.network(num_classes=1, dtype=np.float64)
    x_l, _, x_u, x_e = sets(np.float64)
    y_l = helpers.labels(L, num_classes=2)
    options = {"criterion": criterion, "x_eval": x_e, "ridge": RIDGE}
    options["predictive"] = helpers.PREDICTIVE
    one = lookahead.select(net, x_l, y_l, x_u, K, task="binary", **options)
    two = lookahead.select(in_disguise(net), x_l, y_l, x_u, K, **options)
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-8)


def twice():
    """A pool of 20 images, each of which is in it two times."""
    return np.concatenate([helpers.images(20, seed=5)] * 2)


@pytest.mark.parametrize("reference", lookahead.REFERENCES)
@pytest.mark.parametrize("criterion", ["mlmoc", "flips", "variance"])
@pytest.mark.quick
def test_with_every_image_twice_twenty_choices_are_twenty_images(criterion, reference):
    net, x_l, y_l, _ = given()
    options = {"criterion": criterion, "reference": reference, "ridge": 1e-4}
    greedy = lookahead.select(net, x_l, y_l, twice(), 20, **options)
    assert len(set((greedy.rows % 20).tolist())) == 20
    top = lookahead.select(net, x_l, y_l, twice(), 20, batch_mode="top_k", **options)
    assert len(set((top.rows % 20).tolist())) < 20


@pytest.mark.parametrize("criterion", lookahead.TASKS["regression"].criteria)
def test_in_a_regression_too_twenty_choices_are_twenty_images(criterion):
    net, x_l, _, _ = given()
    y_l = np.asarray(net.predict(x_l))
    options = {"criterion": criterion, "task": "regression", "ridge": 1e-4}
    greedy = lookahead.select(net, x_l, y_l, twice(), 20, **options)
    assert len(set((greedy.rows % 20).tolist())) == 20


@pytest.mark.parametrize("readout", ["first_logit", "all_logits"])
@pytest.mark.parametrize("with_eval", [False, True])
def test_top_k_are_the_k_highest_scores_and_both_modes_begin_with_the_best(readout, with_eval):
    x_eval = sets()[3] if with_eval else None
    options = {"readout": readout, "x_eval": x_eval, "ridge": 1e-2}
    scores = np.asarray(lookahead.score(*given(), **options))
    top = lookahead.select(*given(), K, batch_mode="top_k", **options)
    np.testing.assert_array_equal(top.rows, np.argsort(-scores)[:K])
    np.testing.assert_array_equal(top.scores, scores)
    greedy = lookahead.select(*given(), K, **options)
    np.testing.assert_allclose(greedy.scores, scores, rtol=1e-4)
    assert greedy.rows[0] == top.rows[0]
    assert len(set(greedy.rows.tolist())) == K


@pytest.mark.parametrize("mode", lookahead.BATCH_MODES)
def test_the_whole_pool_may_be_chosen(mode):
    chosen = lookahead.select(*given(), U, batch_mode=mode)
    assert sorted(chosen.rows.tolist()) == list(range(U))
    assert np.issubdtype(chosen.rows.dtype, np.integer)


@pytest.mark.parametrize("mode", lookahead.BATCH_MODES)
def test_a_tie_goes_to_the_lower_row_or_is_broken_by_the_key(mode):
    net, x_l, y_l, x_u = given()
    x_u = np.concatenate([x_u, x_u])
    options = {"batch_mode": mode}
    firsts = {int(lookahead.select(net, x_l, y_l, x_u, 1, **options).rows[0]) for _ in range(3)}
    (first,) = firsts
    assert first < U
    keys = [jax.random.key(seed) for seed in range(10)]
    drawn = [int(lookahead.select(net, x_l, y_l, x_u, 1, key=k, **options).rows[0]) for k in keys]
    assert set(drawn) == {first, first + U}
    again = lookahead.select(net, x_l, y_l, x_u, 1, key=keys[0], **options)
    assert again.rows[0] == drawn[0]
    assert lookahead.select(*given(), 1, key=jax.random.PRNGKey(0)).rows.shape == (1,)


@pytest.mark.parametrize("mode", lookahead.BATCH_MODES)
def test_diagnostics_are_those_of_the_posterior(mode):
    net, x_l, y_l, x_u = given()
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u),
        np.eye(3)[y_l] - net.predict(x_l),
        net.predict(x_u),
        ridge=0.01,
    )
    chosen = lookahead.select(net, x_l, y_l, x_u, 2, batch_mode=mode, ridge=0.01)
    found = chosen.diagnostics
    assert not found.is_ridge_fitted
    assert len(repr(chosen)) < 500  # not the scores of all candidates
    assert found.ridge == pytest.approx(0.01)
    assert found.condition_number == pytest.approx(float(belief.condition_number), rel=1e-3)
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, r"k must be in 1\.\.8, the number of candidates, got 0"),
        (-3, ValueError, "got -3"),
        (9, ValueError, "got 9"),
        (2.0, TypeError, r"k must be an integer, got 2\.0"),
        (True, TypeError, "k must be an integer"),
        ("2", TypeError, "k must be an integer"),
    ],
)
@pytest.mark.quick
def test_a_number_that_cannot_be_chosen_is_refused(k, error, message):
    with pytest.raises(error, match=message):
        lookahead.select(*given(), k)


@pytest.mark.parametrize(
    "key", [0, np.int64(3), np.zeros(2, np.int32), np.zeros(3, np.uint32), "0", jax.random.split]
)
@pytest.mark.quick
def test_what_is_no_key_is_refused_and_told_how_to_make_one(key):
    with pytest.raises(TypeError, match=r"key must be a PRNG key.*jax\.random\.key\(0\)"):
        lookahead.select(*given(), 2, key=key)


def test_several_keys_are_refused():
    with pytest.raises(TypeError, match=r"key must be a PRNG key, got \(3,\) keys"):
        lookahead.select(*given(), 2, key=jax.random.split(jax.random.key(0), 3))


def test_options_are_checked_as_those_of_a_score():
    with pytest.raises(ValueError, match="unknown batch_mode 'best'; known: greedy, top_k"):
        lookahead.select(*given(), 2, batch_mode="best")
    with pytest.raises(ValueError, match="unknown criterion"):
        lookahead.select(*given(), 2, criterion="mlmco")
    with pytest.raises(TypeError, match="x_pool is a list; make one array"):
        lookahead.select(*given()[:3], [1, 2], 2)
    with pytest.raises(TypeError, match=r"cannot be jitted; jit lookahead\.score"):
        jax.jit(lambda x: lookahead.select(*given()[:3], x, 2).rows)(given()[3])


@pytest.mark.filterwarnings("ignore:the outputs of the network")
@pytest.mark.parametrize("mode", lookahead.BATCH_MODES)
def test_candidates_of_which_none_can_be_scored_are_not_ranked(mode, x64):
    """Logits of 1e200 are finite, but the squares in which changes are measured are not."""
    module = helpers.Linear(3)
    x_l, y_l, x_u, _ = sets(np.float64)
    variables = module.init(jax.random.key(0), x_l)
    huge = Network(module, jax.tree.map(lambda leaf: 1e200 * leaf.astype(float), variables))
    with pytest.raises(ValueError, match=r"only 0 of \d+ candidates can be scored"):
        lookahead.score(huge, x_l, y_l, x_u)
    with pytest.raises(ValueError, match=r"only 0 of \d+ candidates can be scored"):
        lookahead.select(huge, x_l, y_l, x_u, 2, batch_mode=mode)


def test_a_greedy_batch_that_does_not_fit_says_how_many_points_do():
    x_eval, budget = sets()[3], 28 * 10**2
    with pytest.raises(ValueError, match=r"8 candidates and 5 .* about 10 points in all.*x_eval="):
        lookahead.select(*given(), 2, x_eval=x_eval, memory_budget=budget)
    with pytest.raises(ValueError, match=r"about 3 points in all.*batch_mode='top_k'"):
        lookahead.select(*given(), 2, readout="all_logits", memory_budget=budget)


def test_a_network_far_from_its_targets_is_warned_of():
    net, x_l, y_l, x_u = given()
    far = net.with_params(jax.tree.map(lambda leaf: 5 * leaf, net.params))
    with pytest.warns(UserWarning, match="reference='linearized'") as caught:
        lookahead.select(far, x_l, y_l, x_u, 1)
    assert caught[0].filename == __file__
