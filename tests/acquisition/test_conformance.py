from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, kernels, lookahead, models, training
from ntk_al.acquisition import (
    STRATEGIES,
    CandidateSet,
    LookaheadOptions,
    ranked,
    requirements,
    schemes,
)
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from ntk_al.network import Predictive
from ntk_al.training import TrainingConfig
from tests import cases, helpers

U = 9
# Batches of one shape, so that nothing compiles anew as labels arrive.
ONE_EPOCH = TrainingConfig(epochs=1, batch_size=4, learning_rate=0.01)
KEY = jax.random.key(7)
EVERY = pytest.mark.parametrize("name", STRATEGIES)


@functools.cache
def network(num_classes=3):
    """A network that has what any strategy needs, with statistics that training might leave."""
    module = models.build("convnet", num_classes, width=8, dropout=0.2)
    plain = training.initialize(jax.random.key(0), module, helpers.images(1))
    rng = np.random.default_rng(0)
    statistics = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.uniform(0, 0.2, leaf.shape), leaf.dtype),
        plain.variables["batch_stats"],
    )
    plain = Network(module, {**plain.variables, "batch_stats": statistics})
    return models.with_loss_prediction(jax.random.key(1), plain, helpers.images(1))


def candidates(num=U, num_classes=3, order=None, **options):
    x, ids = helpers.images(num, seed=2), 100 + 3 * np.arange(num)
    if order is not None:
        x, ids = x[order], ids[order]
    return CandidateSet(
        network=network(num_classes),
        x_labeled=helpers.images(6, seed=1),
        y_labeled=helpers.labels(6, num_classes, seed=1),
        x=x,
        ids=ids,
        options=LookaheadOptions(**{"retraining": ONE_EPOCH, **options}),
    )


def replaced(given, **changes):
    """The same query with other candidates, of which nothing is computed yet."""
    return dataclasses.replace(given, **changes)


def oracle(example_id):
    return example_id % 3


@EVERY
@pytest.mark.parametrize(
    ("scheme", "k"), [cases.thorough("batch", 1), ("batch", U), ("sequential", 4)]
)
def test_every_scheme_returns_k_different_ids_of_candidates(name, k, scheme):
    given = candidates()
    selection = schemes.SCHEMES[scheme](KEY, STRATEGIES[name], given, k, oracle)
    assert selection.ids.shape == (k,)
    assert len(set(selection.ids.tolist())) == k
    assert set(selection.ids.tolist()) <= set(given.ids.tolist())
    assert selection.utilities.shape == (U,)
    assert not np.isnan(selection.utilities).any()


@EVERY
@pytest.mark.quick
def test_candidates_are_told_apart(name):
    utilities = STRATEGIES[name](KEY, candidates(), 1).utilities
    assert len(np.unique(utilities.round(4))) > 1


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].ranks])
def test_ids_are_those_of_the_highest_utilities_in_order(name):
    given = candidates()
    selection = STRATEGIES[name](KEY, given, 3)
    rows = [list(given.ids).index(i) for i in selection.ids]
    np.testing.assert_allclose(
        selection.utilities[rows], np.sort(selection.utilities)[::-1][:3], rtol=1e-5
    )


@EVERY
def test_what_was_labeled_or_excluded_is_never_returned_and_scores_minus_infinity(name):
    given = candidates().observe(2, 1).exclude([3]).observe(5, 0)
    selection = STRATEGIES[name](KEY, given, U - 3)
    assert not {int(given.ids[row]) for row in (2, 3, 5)} & set(selection.ids.tolist())
    assert np.isneginf(selection.utilities[[2, 3, 5]]).all()
    with pytest.raises(ValueError, match="cannot choose 7 of 6"):
        STRATEGIES[name](KEY, given, U - 2)


@pytest.mark.quick
def test_rows_that_are_no_candidates_cannot_be_excluded():
    with pytest.raises(ValueError, match=rf"rows must be in 0..{U - 1}, got \[-1, {U}\]"):
        candidates().exclude([U, -1])


@pytest.mark.parametrize("name", ["mlmoc", "emoc", "entropy"])
def test_a_posterior_that_was_computed_before_gives_the_same_utilities(name):
    given, known = candidates(), candidates()
    known.remember_posterior(candidates().posterior)
    for after in (lambda c: c, lambda c: c.observe(2, 1)):
        np.testing.assert_allclose(
            STRATEGIES[name](KEY, after(known), 1).utilities,
            STRATEGIES[name](KEY, after(given), 1).utilities,
            rtol=1e-4,
        )


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
def test_equal_candidates_are_chosen_by_the_key_and_not_by_position(name):
    """All candidates are copies of one: nothing but the key can tell them apart."""
    x = np.repeat(helpers.images(1, seed=2), U, axis=0)
    picks = set()
    for seed in range(5):
        selection = STRATEGIES[name](jax.random.key(seed), replaced(candidates(), x=x), 2)
        assert len(set(selection.ids.tolist())) == 2
        picks.add(int(selection.ids[0]))
    assert len(picks) > 2


@EVERY
@pytest.mark.parametrize(("num", "num_classes"), [cases.thorough(1, 2), (3, 100)])
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


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_utilities_of_which_none_is_a_number_are_not_ranked(value):
    strategy = ranked(lambda key, given: (np.full(U, value), {}))
    with pytest.raises(ValueError, match=f"none of the {U - 1} available candidates"):
        strategy(KEY, candidates().observe(2, 1), 2)


def test_a_utility_of_nan_is_queried_last():
    broken = ranked(lambda key, given: (np.where(given.ids == 106, np.nan, 1.0), {}))
    assert broken(KEY, candidates(), U).ids[-1] == 106


def test_only_the_strategies_that_train_for_every_candidate_say_so():
    assert {name for name, s in STRATEGIES.items() if s.retrains} == {"naive", "one_step"}
    assert {name for name, s in STRATEGIES.items() if not s.ranks} >= {"badge", "coreset", "ev_gp"}


class Fixed(CandidateSet):
    """Candidates with given probabilities, so that answers can be worked out by hand."""

    predictive = Predictive()

    logits = np.log(np.array([[0.5, 0.4, 0.1], [0.6, 0.2, 0.2], [0.45, 0.30, 0.25]], np.float32))


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("margin", [0, 2, 1]),  # margins 0.10, 0.40, 0.15: the smallest first
        ("least_confidence", [2, 0, 1]),  # 1 − 0.45, 1 − 0.5, 1 − 0.6
        ("entropy", [2, 1, 0]),  # 1.067, 0.950, 0.943 nats
    ],
)
@pytest.mark.quick
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


@pytest.mark.parametrize("name", [*LABEL_CRITERIA, "residual"])
def test_look_ahead_strategies_report_ridge_and_condition(name):
    diagnostics = STRATEGIES[name](KEY, candidates(ridge=1e-3), 1).diagnostics
    assert diagnostics["ridge"] == pytest.approx(1e-3)
    assert diagnostics["condition_number"] > 1


@pytest.mark.parametrize("name", ["mlmoc", "entropy"])
def test_sequential_choices_are_those_of_batches_of_one_with_labels_in_between(name):
    selection = schemes.sequential(KEY, STRATEGIES[name], candidates(), 4, oracle)
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

    schemes.batch(KEY, STRATEGIES["mlmoc"], candidates(), 4, must_not_ask)


def test_sequential_asks_for_each_label_once_in_order():
    asked = []
    selection = schemes.sequential(
        KEY, STRATEGIES["mlmoc"], candidates(), 5, lambda i: asked.append(i) or oracle(i)
    )
    assert asked == selection.ids.tolist()


@pytest.mark.parametrize("scheme", schemes.SCHEMES)
@pytest.mark.parametrize("k", [0, U + 1])
@pytest.mark.quick
def test_a_number_that_cannot_be_chosen_is_refused(scheme, k):
    with pytest.raises(ValueError, match=f"cannot choose {k}"):
        schemes.SCHEMES[scheme](KEY, STRATEGIES["random"], candidates(), k, oracle)


@pytest.mark.quick
def test_candidate_sets_that_do_not_fit_are_refused():
    good = candidates()
    with pytest.raises(ValueError, match="9 different integers"):
        CandidateSet(good.network, good.x_labeled, good.y_labeled, good.x, np.zeros(U, int))
    with pytest.raises(ValueError, match="the candidates is empty"):
        CandidateSet(good.network, good.x_labeled, good.y_labeled, good.x[:0], good.ids[:0])
    with pytest.raises(ValueError, match="known: linearized, network"):
        LookaheadOptions(reference="f")


@pytest.mark.parametrize("name", ["mlmoc", "emoc", "residual"])
@pytest.mark.quick
def test_a_greedy_batch_is_a_sequential_query_that_is_told_the_pseudo_labels(name):
    """The labels of a network that moves with each of them."""
    greedy = candidates(batch_mode="greedy")
    chosen = STRATEGIES[name](KEY, greedy, 4)
    told = candidates(move_network=True)
    after = candidates(move_network=True, reference="linearized")
    for step, expected in enumerate(chosen.ids):
        key = jax.random.fold_in(KEY, step) if step else KEY
        assert STRATEGIES[name](key, after if step else told, 1).ids == [expected]
        row = list(told.ids).index(expected)
        after = after.observe(row, int(after.posterior.logits[row].argmax()))


@pytest.mark.parametrize("reference", ["network", "linearized"])
@pytest.mark.parametrize("name", ["mlmoc", "emoc", "brier", "epig"])
def test_a_greedy_batch_is_that_of_select(name, reference):
    given = candidates(batch_mode="greedy", reference=reference, ridge=1e-4)
    selected = lookahead.select(
        given.network,
        given.x_labeled,
        given.y_labeled,
        given.x,
        4,
        criterion=name,
        reference=reference,
        ridge=1e-4,
    )
    chosen = STRATEGIES[name](KEY, given, 4)
    np.testing.assert_array_equal(chosen.ids, given.ids[selected.rows])


def test_no_label_is_revealed_after_others_were_assumed():
    assumed = candidates().observe(0, 1, is_assumed=True)
    assert assumed.observe(1, 1, is_assumed=True).num_assumed == 2
    with pytest.raises(ValueError, match="none can be revealed any more"):
        assumed.observe(1, 1)


def test_the_first_of_a_greedy_batch_is_the_first_of_the_top_k():
    top = STRATEGIES["mlmoc"](KEY, candidates(), 4)
    greedy = STRATEGIES["mlmoc"](KEY, candidates(batch_mode="greedy"), 4)
    assert top.ids[0] == greedy.ids[0]


@pytest.mark.parametrize("ridge", [1e-4, 1e-2])
@pytest.mark.parametrize("name", ["mlmoc", "emoc", "brier", "log_score", "last_layer"])
def test_a_greedy_batch_takes_no_copies_of_its_picks(name, ridge):
    given = candidates(ridge=ridge)
    copies = replaced(
        given,
        x=np.concatenate([given.x] * 3),
        ids=np.arange(3 * U),
        options=dataclasses.replace(given.options, batch_mode="greedy"),
    )
    chosen = STRATEGIES[name](KEY, copies, 6).ids
    assert len(set((chosen % U).tolist())) == 6
    top = STRATEGIES[name](
        KEY, dataclasses.replace(copies, options=dataclasses.replace(given.options)), 6
    ).ids
    assert len(set((top % U).tolist())) == 2


def test_explained_variance_is_what_labels_take_from_the_variance_at_the_candidates():
    given = candidates(ridge=1e-2)
    selection = STRATEGIES["ev_gp"](KEY, given, 3)
    prior = given.posterior
    for row, utility in enumerate(selection.utilities):
        after = prior.observe(row, 0)
        explained = np.trace(prior.covariance) - np.trace(after.covariance)
        assert utility == pytest.approx(explained, rel=1e-3)
    # The greedy second pick explains most, given the first.
    rows = [list(given.ids).index(i) for i in selection.ids]
    left = [
        np.trace(prior.observe(np.array([rows[0], row]), np.array([0, 0])).covariance)
        for row in range(U)
        if row != rows[0]
    ]
    second = prior.observe(np.array(rows[:2]), np.array([0, 0]))
    assert np.trace(second.covariance) == pytest.approx(min(left), rel=1e-5)


def lengths_by_autodiff(given):
    """Σ_y p_y ‖∂ℓ/∂θ‖, one gradient at a time."""
    network, logits = given.network, np.asarray(given.logits)

    @jax.jit
    def length(x, label):
        def loss(params):
            f = network.with_params(params).logits(x[None])[0]
            return jnp.square(f - jnp.eye(len(f))[label]).sum()

        leaves = jax.tree.leaves(jax.grad(loss)(network.params))
        return jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in leaves))

    return [
        sum(p * length(x, label) for label, p in enumerate(helpers.probabilities(f)))
        for x, f in zip(given.x, logits, strict=True)
    ]


def test_expected_gradient_length_of_all_logits_is_that_of_autodiff():
    given = candidates(4, readout="all_logits", predictive=helpers.PREDICTIVE)
    utilities = STRATEGIES["expected_gradient_length"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, lengths_by_autodiff(given), rtol=1e-4)


@pytest.mark.parametrize("readout", ["first_logit", "sum_logits"])
def test_expected_gradient_length_of_one_readout_is_exact_for_a_linear_model(readout):
    module = helpers.Linear(3)
    network = Network(module, module.init(KEY, helpers.images(1)))
    given = replaced(candidates(4, readout=readout, predictive=helpers.PREDICTIVE), network=network)
    utilities = STRATEGIES["expected_gradient_length"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, lengths_by_autodiff(given), rtol=1e-4)


@pytest.mark.parametrize("criterion", LABEL_CRITERIA)
@pytest.mark.quick
def test_one_step_is_the_criterion_after_one_step_of_sgd(criterion):
    rate = 0.003
    options = {"criterion": criterion, "retraining": TrainingConfig(learning_rate=rate)}
    options["predictive"] = helpers.PREDICTIVE
    given = candidates(4, **options)
    network, logits = given.network, np.asarray(given.network_logits)

    @jax.jit
    def after(x, label):
        def loss(params):
            f = network.with_params(params).logits(x[None])[0]
            return jnp.square(f - jnp.eye(3)[label]).sum()

        gradient = jax.grad(loss)(network.params)
        moved = jax.tree.map(lambda p, g: p - rate * g, network.params, gradient)
        return network.with_params(moved).logits(given.x)

    expected = []
    for x, f in zip(given.x, logits, strict=True):
        outputs = [np.asarray(after(x, label)) for label in range(3)]
        plain = helpers.PLAIN_CRITERIA[criterion]
        expected.append(plain(outputs.__getitem__, logits, f))
    utilities = STRATEGIES["one_step"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, expected, rtol=1e-3, atol=1e-6)


def test_a_small_step_changes_outputs_as_the_kernel_of_all_logits_says():
    """f⁺ − f → −η Θ(x, x_j) ∂ℓ/∂f as η → 0: the step and the kernel are checked by each other."""
    rate = 1e-4
    given = candidates(4, retraining=TrainingConfig(learning_rate=rate))
    logits = np.asarray(given.network_logits)
    theta = np.asarray(kernels.full_gram(given.network, given.x)).reshape(4, 3, 4, 3)
    pull = 2 * (logits - np.eye(3)[logits.argmax(1)])
    change = -rate * np.einsum("xcjd,jd->jxc", theta, pull)
    utilities = STRATEGIES["one_step"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, np.linalg.norm(change, axis=2).sum(1), rtol=0.02)


@pytest.mark.parametrize("criterion", ["mlmoc", "eer"])
def test_naive_is_the_criterion_after_training_with_each_candidate(criterion):
    config = TrainingConfig(epochs=2, batch_size=4, learning_rate=0.01)
    given = candidates(3, criterion=criterion, retraining=config, predictive=helpers.PREDICTIVE)
    logits = np.asarray(given.network_logits)
    utility_key, _ = jax.random.split(KEY)

    def after(x, label):
        network, _ = training.fit(
            utility_key,
            given.network,
            np.concatenate([given.x_labeled, x[None]]),
            np.append(given.y_labeled, label),
            config,
        )
        return np.asarray(network.predict(given.x))

    expected = [
        helpers.PLAIN_CRITERIA[criterion](functools.partial(after, x), logits, f)
        for x, f in zip(given.x, logits, strict=True)
    ]
    utilities = STRATEGIES["naive"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, expected, rtol=1e-4)


def test_naive_retraining_needs_class_ids():
    given = replaced(candidates(3), y_labeled=np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]])
    with pytest.raises(ValueError, match="needs class ids"):
        STRATEGIES["naive"](KEY, given, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"readout": "sum_logits"},
        {"readout": "all_logits"},
        {"reference": "linearized"},
        {"ridge": 0.1},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_look_ahead_strategies_score_with_the_options_they_are_given(options):
    given = candidates(**options)
    scored = (given.network, given.x_labeled, given.y_labeled, given.x)
    utilities = STRATEGIES["mlmoc"](KEY, given, 1).utilities
    np.testing.assert_allclose(utilities, lookahead.score(*scored, **options), rtol=1e-4)
    assert np.abs(utilities / np.asarray(lookahead.score(*scored)) - 1).max() > 3e-4


def test_a_moved_network_is_where_the_label_took_the_posterior():
    fixed, moved = candidates(), candidates(move_network=True)
    before = fixed.posterior
    after = moved.observe(2, 1).observe(5, 0).posterior
    step = after.mean - before.mean
    np.testing.assert_allclose(after.logits, before.logits + step, atol=1e-5)
    np.testing.assert_allclose(after.offset, before.offset, atol=1e-5)
    np.testing.assert_array_equal(fixed.observe(2, 1).posterior.logits, before.logits)
    # Labels that came before the posterior was needed move it as well.
    first = candidates(move_network=True)
    first.posterior  # noqa: B018
    np.testing.assert_allclose(
        first.observe(2, 1).observe(5, 0).posterior.logits, after.logits, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    "name", [*LABEL_CRITERIA, "residual", "ev_gp", "naive", "last_layer", "infinite_ntk", "gp"]
)
def test_changes_are_measured_at_the_evaluation_points_before_and_after_a_label(name):
    """With the candidates themselves as evaluation points, nothing changes."""
    plain = candidates()
    given = replaced(plain, x_eval=plain.x)
    for before, after in ((plain, given), (plain.observe(2, 1), given.observe(2, 1))):
        np.testing.assert_allclose(
            STRATEGIES[name](KEY, after, 1).utilities,
            STRATEGIES[name](KEY, before, 1).utilities,
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("name", [*LABEL_CRITERIA, "ev_gp"])
def test_few_evaluation_points_give_other_scores_than_the_candidates(name):
    given = replaced(candidates(), x_eval=helpers.images(4, seed=9))
    utilities = STRATEGIES[name](KEY, given, 1).utilities
    if name in LABEL_CRITERIA:
        scored = (given.network, given.x_labeled, given.y_labeled, given.x)
        expected = lookahead.score(*scored, criterion=name, x_eval=given.x_eval)
        np.testing.assert_array_equal(utilities, np.asarray(expected, np.float64))
    assert not np.allclose(utilities, STRATEGIES[name](KEY, candidates(), 1).utilities)


def test_a_budget_that_is_too_small_reaches_the_kernel_of_a_strategy():
    with pytest.raises(ValueError, match="the memory budget is"):
        STRATEGIES["mlmoc"](KEY, candidates(memory_budget=1000), 1)


@pytest.mark.quick
def test_inputs_of_a_query_stay_once_a_label_was_revealed():
    with pytest.raises(ValueError, match="make a new CandidateSet"):
        replaced(candidates().observe(2, 1), x=helpers.images(U, seed=8))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.arange(U) / 100, "dtype float64"),
        (np.arange(U) * 2**32, r"ids must be in 0\.\.2\^32"),
        (-np.arange(U), "ids must be in"),
        (np.arange(U - 1), "9 different integers"),
    ],
)
def test_ids_that_would_lose_their_random_numbers_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        replaced(candidates(), ids=ids)


@pytest.mark.parametrize("labels", [np.full(6, 7), np.zeros(3, int)])
def test_labels_that_do_not_fit_are_refused_whatever_the_strategy(labels):
    with pytest.raises(ValueError, match="y_labeled"):
        replaced(candidates(), y_labeled=labels)


@pytest.mark.parametrize(("row", "label"), [(U, 0), (-1, 0), (2, 3), (5, 0)])
def test_a_label_that_does_not_fit_is_not_absorbed(row, label):
    with pytest.raises(ValueError, match=r"row must be one of|label must be class ids"):
        candidates().observe(5, 1).observe(row, label)


def test_a_misspelled_strategy_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="unknown strategy 'mlmco'; known: badge"):
        requirements.check(STRATEGIES, "mlmco", network(), helpers.images(1))
