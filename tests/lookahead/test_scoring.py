from __future__ import annotations

import itertools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntk_al import Network, kernels, lookahead
from ntk_al.lookahead import posterior
from tests import cases, helpers

L, E, U = 6, 5, 8
CASES = cases.crossed(list(lookahead.CRITERIA), lookahead.REFERENCES)


def sets(dtype=np.float32):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        helpers.labels(L, seed=1),
        helpers.images(U, seed=2, dtype=dtype),
        helpers.images(E, seed=3, dtype=dtype),
    )


def of_probabilities(dtype=np.float32):
    """A network whose outputs are probabilities, so that it can fit them exactly."""
    net = helpers.network(dtype=dtype)

    def apply(params, x):
        return jax.nn.softmax(net.module.apply({**net.variables, "params": params}, x))

    return Network.from_function(apply, net.params)


def naive(net, x_l, y_l, x_u, x_e, *, dtype=np.float64, **options):
    """Look-ahead scores from single gradients and a fresh solve for every candidate."""
    x = np.concatenate([x_l, x_e, x_u])
    theta = helpers.plain_gram(net, x, x).astype(dtype)
    logits = np.asarray(net.predict(x), dtype)
    return helpers.naive_scores(
        theta, logits, np.eye(3)[y_l], num_labeled=len(x_l), num_eval=len(x_e), **options
    )


@pytest.mark.parametrize(
    ("criterion", "reference"), [*itertools.product(lookahead.CRITERIA, lookahead.REFERENCES)]
)
def test_look_ahead_equals_solving_equation_11_afresh_for_every_candidate(
    criterion, reference, x64
):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, x_e = sets(np.float64)
    options = {"criterion": criterion, "reference": reference, "ridge": 1e-3}
    scores = lookahead.score(
        net, x_l, y_l, x_u, x_eval=x_e, predictive=helpers.PREDICTIVE, **options
    )
    expected = naive(net, x_l, y_l, x_u, x_e, **options)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("criterion", "reference"), CASES)
@pytest.mark.quick
def test_the_same_in_float32(criterion, reference):
    net = helpers.network()
    x_l, y_l, x_u, x_e = sets()
    options = {"criterion": criterion, "reference": reference, "ridge": 1e-3}
    scores = lookahead.score(
        net, x_l, y_l, x_u, x_eval=x_e, predictive=helpers.PREDICTIVE, **options
    )
    expected = naive(net, x_l, y_l, x_u, x_e, **options)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_without_an_evaluation_set_the_pool_is_evaluated(criterion, x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)
    np.testing.assert_allclose(
        lookahead.score(net, x_l, y_l, x_u, criterion=criterion),
        lookahead.score(net, x_l, y_l, x_u, criterion=criterion, x_eval=x_u),
        rtol=1e-10,
    )


@pytest.mark.parametrize(("criterion", "reference"), CASES)
def test_score_is_posterior_and_criterion_composed(criterion, reference, x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u), np.eye(3)[y_l] - net.predict(x_l), net.predict(x_u)
    )
    options = {"criterion": criterion, "reference": reference}
    predictive = lookahead.predictive(net, x_l, y_l, x_u)
    np.testing.assert_allclose(
        lookahead.score_posterior(belief, predictive=predictive, **options),
        lookahead.score(net, x_l, y_l, x_u, **options),
        rtol=1e-10,
    )


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_after_observing_scores_are_those_of_a_larger_labeled_set(criterion, x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)
    theta = helpers.plain_gram(net, x_l, x_l)
    belief = posterior.condition(
        kernels.blocks(net, x_l[:4], x_u_and := np.concatenate([x_l[4:], x_u])),
        np.eye(3)[y_l[:4]] - net.predict(x_l[:4]),
        net.predict(x_u_and),
        ridge=1e-3 * np.diagonal(theta).mean() / np.diagonal(theta)[:4].mean(),
    )
    belief = belief.observe(np.array([0, 1]), y_l[4:])
    options = {"criterion": criterion, "predictive": "softmax"}
    scores = lookahead.score_posterior(belief, **options)
    afresh = lookahead.score(net, x_l, y_l, x_u_and, ridge=1e-3, **options)
    np.testing.assert_allclose(scores, afresh, rtol=1e-8)


@pytest.mark.parametrize("criterion", ["mlmoc", "variance"])
def test_the_first_query_points_are_candidates_and_the_rest_evaluation_points(criterion, x64):
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, x_e = sets(np.float64)
    both = np.concatenate([x_u, x_e])
    belief = posterior.condition(
        kernels.blocks(net, x_l, both), np.eye(3)[y_l] - net.predict(x_l), net.predict(both)
    )
    np.testing.assert_allclose(
        lookahead.score_posterior(belief, criterion=criterion, num_candidates=U),
        lookahead.score(net, x_l, y_l, x_u, x_eval=x_e, criterion=criterion),
        rtol=1e-10,
    )
    for num_candidates in (0, U + E, U + E + 1):
        with pytest.raises(
            ValueError, match=rf"num_candidates must be in 1..{U + E - 1}, .*{U + E}"
        ):
            lookahead.score_posterior(belief, num_candidates=num_candidates)


def test_linearized_mlmoc_is_the_error_times_the_reach(x64):
    """‖e_j‖ Σ_x |w(x, j)|."""
    net = helpers.network(dtype=np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u), np.eye(3)[y_l] - net.predict(x_l), net.predict(x_u)
    )
    s = np.asarray(belief.covariance)
    w = s / (np.diagonal(s) + float(belief.noise))
    e = np.eye(3)[np.argmax(belief.logits, 1)] - belief.mean
    np.testing.assert_allclose(
        lookahead.score_posterior(belief, reference="linearized"),
        np.linalg.norm(e, axis=1) * np.abs(w).sum(0),
        rtol=1e-10,
    )


def test_the_reference_changes_the_ranking_unless_the_residual_is_zero(x64):
    net = of_probabilities(np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)

    def both(targets):
        return [
            lookahead.score(net, x_l, targets, x_u, reference=reference)
            for reference in lookahead.REFERENCES
        ]

    np.testing.assert_allclose(*both(np.asarray(net.predict(x_l))), rtol=1e-10)
    network, linearized = both(y_l)
    assert np.abs(network / linearized - 1).max() > 0.01


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_scores_permute_with_the_candidates(criterion):
    net = helpers.network()
    x_l, y_l, x_u, x_e = sets()
    order = np.random.default_rng(0).permutation(U)
    options = {"criterion": criterion, "x_eval": x_e}
    scores = lookahead.score(net, x_l, y_l, x_u, **options)
    shuffled = lookahead.score(net, x_l, y_l, x_u[order], **options)
    np.testing.assert_allclose(shuffled, scores[order], rtol=1e-5)


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_a_candidate_scores_the_same_alone_and_in_company(criterion):
    net = helpers.network()
    x_l, y_l, x_u, x_e = sets()
    scores = lookahead.score(net, x_l, y_l, x_u, criterion=criterion, x_eval=x_e)
    alone = lookahead.score(net, x_l, y_l, x_u[3:4], criterion=criterion, x_eval=x_e)
    np.testing.assert_allclose(alone, scores[3:4], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:the kernel of the labeled set is not positive definite")
@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-4])
@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
def test_duplicates_of_labeled_points_and_of_each_other_stay_finite(criterion, ridge):
    net = helpers.network()
    x_l, y_l, x_u, _ = sets()
    x_l, y_l = np.concatenate([x_l, x_l[:2]]), np.concatenate([y_l, (y_l[:2] + 1) % 3])
    x_u = np.concatenate([x_u, x_u[:2], x_l[:3]])
    scores = lookahead.score(net, x_l, y_l, x_u, criterion=criterion, ridge=ridge)
    assert np.isfinite(scores).all()


def test_a_labeled_point_queried_again_with_the_label_it_has_changes_nothing():
    net = helpers.network()
    x_l, _, x_u, _ = sets()
    as_predicted = np.argmax(net.predict(x_l), 1)
    scores = lookahead.score(
        net, x_l, as_predicted, np.concatenate([x_u, x_l]), reference="linearized", ridge=1e-6
    )
    assert scores[U:].max() < 1e-3 * scores[:U].min()


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
@pytest.mark.quick
def test_under_jit_scores_are_the_same(criterion):
    # Calibration compiles for long, so one criterion that weighs by probabilities has it.
    predictive = "calibrated" if criterion == "emoc" else helpers.PREDICTIVE

    def score(net, x_l, y_l, x_u, x_e):
        options = {"criterion": criterion, "predictive": predictive, "x_eval": x_e}
        return lookahead.score(net, x_l, y_l, x_u, **options)

    given = helpers.network(), *sets()
    np.testing.assert_allclose(jax.jit(score)(*given), score(*given), rtol=1e-4)


def test_scoring_again_with_the_same_shapes_compiles_nothing(compilations):
    x_l, y_l, _, _ = sets()
    x_u, num_classes = helpers.images(23), 7  # as many classes as in no other test
    lookahead.score(helpers.network(num_classes=num_classes), x_l, y_l, x_u)
    before = len(compilations)
    lookahead.score(helpers.network(seed=1, num_classes=num_classes), x_l + 1, y_l, x_u - 1)
    assert len(compilations) == before > 0


@pytest.mark.parametrize("criterion", ["mlmoc", "flips"])
def test_more_candidates_than_a_tile_holds_score_as_a_few_do(criterion):
    num, num_classes = 2100, 20  # 2100 · 20 · 8 bytes a candidate: several tiles, the last not full
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(num, 30)).astype(np.float32)
    logits = rng.normal(size=(num, num_classes)).astype(np.float32)
    belief = posterior.Posterior(
        mean=jnp.asarray(logits + 0.1 * rng.normal(size=logits.shape).astype(np.float32)),
        covariance=jnp.asarray(factors @ factors.T),
        logits=jnp.asarray(logits),
        noise=jnp.asarray(0.1),
        ridge=jnp.asarray(1e-3),
        condition_number=jnp.asarray(1.0),
    )
    scores = lookahead.score_posterior(belief, criterion=criterion)
    mean = np.asarray(belief.mean, np.float64)
    for j in (0, 799, num // 2, num - 1):
        w = np.asarray(belief.covariance[:, j], np.float64)
        w = w / (w[j] + 0.1)
        step = np.eye(num_classes)[logits[j].argmax()] - mean[j]
        after = mean + np.outer(w, step)
        changes = {
            "mlmoc": np.linalg.norm(after - logits, axis=1).sum(),
            "flips": (after.argmax(1) != logits.argmax(1)).sum(),
        }
        np.testing.assert_allclose(scores[j], changes[criterion], rtol=1e-5)


def test_probabilities_are_taken_as_they_are():
    net = helpers.network()
    x_l, y_l, x_u, _ = sets()
    one_hot = np.eye(3, dtype=np.float32)[y_l]
    np.testing.assert_allclose(
        lookahead.score(net, x_l, one_hot, x_u), lookahead.score(net, x_l, y_l, x_u), rtol=1e-6
    )
    soft = 0.7 * one_hot + 0.1
    assert (
        np.abs(lookahead.score(net, x_l, soft, x_u) - lookahead.score(net, x_l, y_l, x_u)).max() > 0
    )


@pytest.mark.parametrize("num_classes", [2, 100])
def test_any_number_of_classes(num_classes):
    net = helpers.network(num_classes=num_classes)
    x_l, y_l, x_u, _ = sets()
    for criterion in lookahead.CRITERIA:
        scores = lookahead.score(net, x_l, y_l % 2, x_u, criterion=criterion)
        assert scores.shape == (U,)
        assert np.isfinite(scores).all()


def test_dropout_and_batchnorm_are_in_inference_mode():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x, deterministic: bool):
            x = nn.Dense(8)(x.reshape(len(x), -1))
            return nn.Dense(3)(nn.Dropout(0.5, deterministic=deterministic)(nn.relu(x)))

    x_l, y_l, x_u, _ = sets()
    module = Noisy()
    net = Network(module, module.init(jax.random.key(0), x_l, deterministic=True))
    np.testing.assert_array_equal(
        lookahead.score(net, x_l, y_l, x_u), lookahead.score(net, x_l, y_l, x_u)
    )


def changed(position, value):
    arguments = list(sets()[:3])
    arguments[position] = value
    return arguments


NAN = helpers.images(U)
NAN[3, 1, 2, 0] = np.nan
WRONG_VALUES = {
    "x_labeled is empty": changed(0, helpers.images(0)),
    "x_pool is empty": changed(2, helpers.images(0)),
    r"x_pool has 1 NaN or infinite entries, the first at index \(3, 1, 2, 0\)": changed(2, NAN),
    r"x_labeled holds examples of shape \(4, 4, 1\) but x_pool of shape \(5, 4, 1\)": changed(
        2, np.zeros((U, 5, 4, 1), np.float32)
    ),
    "x_labeled has dtype float32 but x_pool uint8": changed(2, np.zeros((U, 4, 4, 1), np.uint8)),
    "5 labels for 6 examples": changed(1, helpers.labels(5)),
    r"class ids in 0\.\.2, one for each of the 3 outputs, got values from 0 to 3": changed(
        1, np.array([0, 1, 2, 3, 0, 1])
    ),
    "got values from -1 to 2": changed(1, np.array([0, 1, 2, -1, 0, 1])),
    r"real targets must have shape \(6, 3\)": changed(1, np.zeros((L, 4), np.float32)),
    r"class ids are \[N\], not \[N, 1\]": changed(1, np.zeros((L, 1), int)),
    "row 1 does not hold probabilities: .* task='regression'": changed(
        1, np.eye(3)[[0, 1, 2, 0, 1, 2]] * [[1], [-1], [1], [1], [1], [1]]
    ),
    "y_labeled has 18 NaN": changed(1, np.full((L, 3), np.nan, np.float32)),
}
WRONG_TYPES = {
    "x_pool is a list; make one array": changed(2, [1, 2, 3]),
    r"ids stored as floats write y_labeled.astype\(int\)": changed(1, np.zeros(L, np.float32)),
    "y_labeled must be integer class ids": changed(1, np.zeros(L, bool)),
    "x_pool must hold real numbers": changed(2, np.ones((U, 4, 4, 1), np.complex64)),
    "x_pool must hold numbers": changed(2, np.full((U, 4, 4, 1), "a")),
}


@pytest.mark.parametrize("message", WRONG_VALUES)
@pytest.mark.quick
def test_arrays_that_do_not_fit_are_refused(message):
    with pytest.raises(ValueError, match=message):
        lookahead.score(helpers.network(), *WRONG_VALUES[message])


@pytest.mark.parametrize("message", WRONG_TYPES)
def test_arguments_of_the_wrong_type_are_refused(message):
    with pytest.raises(TypeError, match=message):
        lookahead.score(helpers.network(), *WRONG_TYPES[message])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"criterion": "mlmco"},
            "unknown criterion 'mlmco'; known: brier, eer, emoc, epig, flips, log_score, mlmoc",
        ),
        ({"readout": "all"}, "known: all_logits, first_logit, sum_logits"),
        ({"reference": "f"}, "known: linearized, network"),
        ({"ridge": -1.0}, "ridge must be a finite number of at least 0"),
        ({"x_eval": helpers.images(0)}, "x_eval is empty"),
    ],
)
@pytest.mark.quick
def test_unknown_names_list_the_known_ones(options, message):
    with pytest.raises(ValueError, match=message):
        lookahead.score(helpers.network(), *sets()[:3], **options)


def test_an_invalid_network_is_refused():
    for network in (helpers.network().variables, nnx.Linear(5, 3, rngs=nnx.Rngs(0))):
        name = type(network).__name__
        with pytest.raises(TypeError, match=rf"got {name}. Wrap it: Network\.from_nnx\(model\)"):
            lookahead.score(network, *sets()[:3])


@pytest.mark.parametrize("ridge", ["1e-4", None])
def test_a_ridge_is_a_number_or_the_name_of_a_rule(ridge):
    message = f"ridge must be a number or 'leave_one_out', got {ridge!r}"
    with pytest.raises(TypeError, match=message):
        lookahead.score(helpers.network(), *sets()[:3], ridge=ridge)


def test_labels_may_be_a_list_and_one_hot_integers():
    net = helpers.network()
    x_l, y_l, x_u, _ = sets()
    scores = lookahead.score(net, x_l, y_l, x_u)
    np.testing.assert_array_equal(lookahead.score(net, x_l, y_l.tolist(), x_u), scores)
    np.testing.assert_array_equal(lookahead.score(net, x_l, np.eye(3, dtype=int)[y_l], x_u), scores)


def test_a_network_far_from_its_targets_is_warned_of_where_it_matters(recwarn):
    net = of_probabilities()
    far = helpers.network().with_params(jax.tree.map(lambda leaf: 5 * leaf, net.params))
    x_l, y_l, x_u, _ = sets()
    with pytest.warns(UserWarning, match="reference='linearized'"):
        lookahead.score(far, x_l, y_l, x_u)
    recwarn.clear()
    lookahead.score(far, x_l, y_l, x_u, reference="linearized")
    lookahead.score(net, x_l, np.asarray(net.predict(x_l)), x_u)
    assert not recwarn.list


def test_a_network_left_in_training_mode_is_told_how_to_leave_it():
    class Odd(nn.Module):
        @nn.compact
        def __call__(self, x, learning: bool = True):
            x = nn.Dropout(0.5, deterministic=not learning)(x.reshape(len(x), -1))
            return nn.Dense(3)(x)

    module = Odd()
    net = Network(module, module.init(jax.random.key(0), helpers.images(1), learning=False))
    with pytest.raises(ValueError, match="still in training mode: name that call argument one of"):
        lookahead.score(net, *sets()[:3])


def test_a_diverged_network_is_named_before_the_kernel_is_computed():
    net = helpers.network()
    broken = net.with_params(jax.tree.map(lambda leaf: leaf * jnp.inf, net.params))
    with pytest.raises(ValueError, match=r"network's output has .* diverged"):
        lookahead.score(broken, *sets()[:3])


def test_a_network_whose_gradients_vanish_is_explained():
    class Constant(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("unused", nn.initializers.ones, (3,))
            return jnp.zeros((len(x), 3))

    dead = Network(module := Constant(), module.init(jax.random.key(0), helpers.images(1)))
    with pytest.raises(
        ValueError, match="the kernel is zero: no parameter of the network Constant"
    ):
        lookahead.score(dead, *sets()[:3])


class Scalar(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x.reshape(len(x), -1))


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(3)(x.reshape(len(x), -1))
        return y, y


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (lambda v: Network(Scalar(), Scalar().init(jax.random.key(0), helpers.images(1))),
         ValueError, "task='binary'"),
        (lambda v: Network(Pair(), Pair().init(jax.random.key(0), helpers.images(1))),
         ValueError, "returned a tuple of 2 in place of logits"),
        (lambda v: Network(lambda x: x, v), TypeError, "takes a flax.linen module, got function"),
        (lambda v: Network(helpers.TinyNet, v), TypeError, "got the class TinyNet"),
        (lambda v: Network(v, helpers.TinyNet()), TypeError, "swapped"),
        (lambda v: Network(helpers.TinyNet(), None), ValueError, "not initialized yet"),
        (lambda v: Network(helpers.TinyNet(), v["params"]), ValueError, "for bare parameters"),
        (lambda v: Network(helpers.TinyNet(5), v), ValueError, "cannot be applied"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_is_explained(net, error, message):
    with pytest.raises(error, match=message):
        lookahead.score(net(helpers.network().variables), *sets()[:3])


@pytest.mark.filterwarnings("ignore:the outputs of the network")
def test_a_pool_that_does_not_fit_is_told_a_number_of_evaluation_points_that_does():
    net, budget = helpers.network(), 12 * 2**20
    given = helpers.images(4), helpers.labels(4), helpers.images(1500)
    with pytest.raises(ValueError, match=r"x_eval= a random sample of \d+") as refused:
        lookahead.score(net, *given, memory_budget=budget)
    num_eval = int(re.search(r"sample of (\d+)", str(refused.value))[1])
    x_eval = given[2][:num_eval]
    assert lookahead.score(net, *given, x_eval=x_eval, memory_budget=budget).shape == (1500,)
