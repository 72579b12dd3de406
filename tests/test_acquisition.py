from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import query
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, ranked
from ntk_al.lookahead import CRITERIA
from tests import helpers

U = 9
KEY = jax.random.key(7)
EVERY = pytest.mark.parametrize("name", STRATEGIES)


def candidates(num=U, num_classes=3, order=None, **options):
    x, ids = helpers.images(num, seed=2), 100 + 3 * np.arange(num)
    if order is not None:
        x, ids = x[order], ids[order]
    return CandidateSet(
        network=helpers.network(num_classes=num_classes),
        x_labeled=helpers.images(6, seed=1),
        y_labeled=helpers.labels(6, num_classes, seed=1),
        x=x,
        ids=ids,
        options=LookaheadOptions(**options),
    )


def oracle(example_id):
    return example_id % 3


@EVERY
@pytest.mark.parametrize("k", [1, 4, U])
@pytest.mark.parametrize("scheme", query.SCHEMES)
def test_every_scheme_returns_k_different_ids_of_candidates(name, k, scheme):
    given = candidates()
    selection = query.SCHEMES[scheme](KEY, STRATEGIES[name], given, k, oracle)
    assert selection.ids.shape == (k,)
    assert len(set(selection.ids.tolist())) == k
    assert set(selection.ids.tolist()) <= set(given.ids.tolist())
    assert selection.utilities.shape == (U,)
    assert not np.isnan(selection.utilities).any()


@EVERY
def test_the_first_id_has_the_highest_utility(name):
    given = candidates()
    selection = STRATEGIES[name](KEY, given, 3)
    row = list(given.ids).index(selection.ids[0])
    assert selection.utilities[row] == selection.utilities.max()


@EVERY
def test_what_was_labeled_is_never_returned_and_scores_minus_infinity(name):
    given = candidates().observe(2, 1).observe(5, 0)
    selection = STRATEGIES[name](KEY, given, U - 2)
    assert not {int(given.ids[2]), int(given.ids[5])} & set(selection.ids.tolist())
    assert np.isneginf(selection.utilities[[2, 5]]).all()
    with pytest.raises(ValueError, match="cannot choose 8 of 7"):
        STRATEGIES[name](KEY, given, U - 1)


@EVERY
def test_the_same_key_gives_the_same_answer_and_leaves_the_network_alone(name):
    given = candidates()
    before = jax.tree.map(np.array, given.network.variables)
    first = STRATEGIES[name](KEY, given, 5)
    again = STRATEGIES[name](KEY, candidates(), 5)
    np.testing.assert_array_equal(first.ids, again.ids)
    np.testing.assert_array_equal(first.utilities, again.utilities)
    jax.tree.map(np.testing.assert_array_equal, before, given.network.variables)


@EVERY
def test_reordering_the_pool_changes_no_choice(name):
    order = np.random.default_rng(0).permutation(U)
    straight = STRATEGIES[name](KEY, candidates(), U)
    shuffled = STRATEGIES[name](KEY, candidates(order=order), U)
    np.testing.assert_allclose(shuffled.utilities, straight.utilities[order], rtol=1e-4, atol=1e-6)
    if name != "flips":  # small integers, whose last digit rounding can move
        np.testing.assert_array_equal(straight.ids, shuffled.ids)


@EVERY
@pytest.mark.parametrize("num_classes", [2, 100])
@pytest.mark.parametrize("num", [1, 3])
def test_any_number_of_classes_and_of_candidates(name, num_classes, num):
    selection = STRATEGIES[name](KEY, candidates(num, num_classes), num)
    assert sorted(selection.ids) == [100 + 3 * i for i in range(num)]


def test_ties_are_broken_by_the_key_and_not_by_position():
    constant = ranked(lambda key, given: (np.zeros(len(given.ids)), {}))
    picks = {int(constant(jax.random.key(seed), candidates(), 1).ids[0]) for seed in range(30)}
    assert len(picks) > 4
    shuffled = candidates(order=np.arange(U)[::-1])
    np.testing.assert_array_equal(
        constant(KEY, candidates(), 5).ids, constant(KEY, shuffled, 5).ids
    )


def test_a_utility_of_nan_is_queried_last():
    broken = ranked(lambda key, given: (np.where(given.ids == 106, np.nan, 1.0), {}))
    assert broken(KEY, candidates(), U).ids[-1] == 106


class Fixed(CandidateSet):
    """Candidates with given outputs, so that answers can be worked out by hand."""

    logits = np.log(np.array([[0.5, 0.4, 0.1], [0.6, 0.2, 0.2], [0.45, 0.30, 0.25]], np.float32))


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("margin", [0, 2, 1]),  # margins 0.10, 0.40, 0.15: the smallest first
        ("least_confidence", [2, 0, 1]),  # 1 − 0.45, 1 − 0.5, 1 − 0.6
        ("entropy", [2, 1, 0]),  # 1.067, 0.950, 0.943 nats
    ],
)
def test_myopic_strategies_on_three_points_by_hand(name, order):
    plain = candidates(3)
    fixed = Fixed(plain.network, plain.x_labeled, plain.y_labeled, plain.x, np.arange(3))
    assert STRATEGIES[name](KEY, fixed, 3).ids.tolist() == order


def test_margin_is_over_classes_and_not_over_candidates():
    """The released code slices the candidate axis and so queries by something else."""
    plain = candidates(3)
    fixed = Fixed(plain.network, plain.x_labeled, plain.y_labeled, plain.x, np.arange(3))
    np.testing.assert_allclose(
        STRATEGIES["margin"](KEY, fixed, 1).utilities, [-0.1, -0.4, -0.15], rtol=1e-5
    )


def test_residual_is_the_norm_of_the_error_of_the_linearized_network():
    given = candidates()
    belief = given.posterior
    e = np.eye(3)[np.argmax(belief.logits, 1)] - belief.mean
    np.testing.assert_allclose(
        STRATEGIES["residual"](KEY, given, 1).utilities, np.linalg.norm(e, axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("name", [*CRITERIA, "residual"])
def test_look_ahead_strategies_report_ridge_and_condition(name):
    diagnostics = STRATEGIES[name](KEY, candidates(ridge=1e-3), 1).diagnostics
    assert diagnostics["ridge"] == pytest.approx(1e-3)
    assert diagnostics["condition_number"] > 1


@pytest.mark.parametrize("name", ["mlmoc", "entropy"])
def test_sequential_choices_are_those_of_batches_of_one_with_labels_in_between(name):
    selection = query.sequential(KEY, STRATEGIES[name], candidates(), 4, oracle)
    given, ids = candidates(), []
    for step in range(4):
        chosen = int(STRATEGIES[name](jax.random.fold_in(KEY, step), given, 1).ids[0])
        ids.append(chosen)
        given = given.observe(list(given.ids).index(chosen), oracle(chosen))
    assert selection.ids.tolist() == ids


def test_labels_seen_before_the_posterior_was_needed_are_in_it():
    late = candidates().observe(2, 1).observe(5, 0).posterior
    early = candidates()
    early.posterior  # noqa: B018
    early = early.observe(2, 1).observe(5, 0).posterior
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), late, early)


def test_batch_reveals_no_label():
    def must_not_ask(example_id):
        raise AssertionError

    query.batch(KEY, STRATEGIES["mlmoc"], candidates(), 4, must_not_ask)


def test_sequential_asks_for_each_label_once_in_order():
    asked = []
    selection = query.sequential(
        KEY, STRATEGIES["mlmoc"], candidates(), 5, lambda i: asked.append(i) or oracle(i)
    )
    assert asked == selection.ids.tolist()


@pytest.mark.parametrize("scheme", query.SCHEMES)
@pytest.mark.parametrize("k", [0, U + 1])
def test_a_number_that_cannot_be_chosen_is_refused(scheme, k):
    with pytest.raises(ValueError, match=f"cannot choose {k}"):
        query.SCHEMES[scheme](KEY, STRATEGIES["random"], candidates(), k, oracle)


def test_candidate_sets_that_do_not_fit_are_refused():
    good = candidates()
    with pytest.raises(ValueError, match="9 different integers"):
        CandidateSet(good.network, good.x_labeled, good.y_labeled, good.x, np.zeros(U, int))
    with pytest.raises(ValueError, match="the candidates is empty"):
        CandidateSet(good.network, good.x_labeled, good.y_labeled, good.x[:0], good.ids[:0])
    with pytest.raises(ValueError, match="known: linearized, network"):
        LookaheadOptions(reference="f")
