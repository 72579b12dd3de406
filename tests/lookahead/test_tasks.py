"""What outputs and labels mean: one logit for two classes is two logits in disguise."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, kernels, lookahead, training
from ntk_al.acquisition import CandidateSet, LookaheadOptions
from ntk_al.lookahead import posterior
from tests import cases, helpers

L, E, U = 6, 5, 8
CRITERIA = lookahead.TASKS["binary"].criteria
CASES = cases.crossed(list(CRITERIA), lookahead.REFERENCES)


class TwoLogits(nn.Module):
    """A real network whose outputs are h = ((1 − f)/2, (1 + f)/2)."""

    body: nn.Module

    @nn.compact
    def __call__(self, x, train: bool = False):
        f = self.body(x, train=train)
        return jnp.concatenate([(1 - f) / 2, (1 + f) / 2], 1)


def one_logit(dtype=np.float32):
    return helpers.network(num_classes=1, dtype=dtype)


def in_disguise(net):
    return Network(
        TwoLogits(helpers.TinyNet(1)),
        {collection: {"body": leaves} for collection, leaves in net.variables.items()},
    )


def sets(dtype=np.float32):
    return (
        helpers.images(L, seed=1, dtype=dtype),
        helpers.labels(L, num_classes=2, seed=1),
        helpers.images(U, seed=2, dtype=dtype),
        helpers.images(E, seed=3, dtype=dtype),
    )


@pytest.mark.parametrize(("criterion", "reference"), CASES)
@pytest.mark.quick
def test_one_logit_scores_as_the_two_logits_that_it_stands_for(criterion, reference):
    net = one_logit()
    x_l, y_l, x_u, x_e = sets()
    options = {"criterion": criterion, "reference": reference, "x_eval": x_e}
    options["predictive"] = helpers.PREDICTIVE
    scores = lookahead.score(net, x_l, y_l, x_u, task="binary", **options)
    expected = lookahead.score(in_disguise(net), x_l, y_l, x_u, **options)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    assert scores.shape == (U,)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_kernel_of_all_logits_of_one_logit_is_the_kernel_of_that_logit(criterion):
    given = one_logit(), *sets()[:3]
    options = {"criterion": criterion, "task": "binary"}
    np.testing.assert_allclose(
        lookahead.score(*given, readout="all_logits", **options),
        lookahead.score(*given, **options),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_posterior_of_one_logit_scores_like_the_network(criterion, x64):
    net = one_logit(np.float64)
    x_l, y_l, x_u, _ = sets(np.float64)
    signs = 2.0 * y_l[:, None] - 1
    belief = posterior.condition(
        kernels.blocks(net, x_l, x_u), signs - net.predict(x_l), net.predict(x_u)
    )
    np.testing.assert_allclose(
        lookahead.score_posterior(
            belief,
            criterion=criterion,
            task="binary",
            predictive=lookahead.predictive(net, x_l, y_l, x_u, task="binary"),
        ),
        lookahead.score(net, x_l, y_l, x_u, criterion=criterion, task="binary"),
        rtol=1e-10,
    )


def test_under_jit_binary_scores_are_the_same():
    given = one_logit(), *sets()[:3]
    jitted = jax.jit(lambda *arguments: lookahead.score(*arguments, task="binary"))
    np.testing.assert_allclose(jitted(*given), lookahead.score(*given, task="binary"), rtol=1e-4)


def test_binary_labels_are_ids_or_booleans_in_an_array_or_a_list():
    net = one_logit()
    x_l, y_l, x_u, _ = sets()
    scores = lookahead.score(net, x_l, y_l, x_u, task="binary")
    for same in (
        y_l == 1,
        y_l.tolist(),
        (y_l == 1).tolist(),
        jnp.asarray(y_l),
        y_l.astype("uint8"),
    ):
        np.testing.assert_array_equal(lookahead.score(net, x_l, same, x_u, task="binary"), scores)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([-1, 1, 1, -1, 1, 1]), ValueError, r"for labels -1 and \+1 write \(y_labeled \+"),
        (np.array([0, 1, 2, 0, 1, 1]), ValueError, "class ids 0 and 1, got values from 0 to 2"),
        (np.ones(L), TypeError, r"write y_labeled.astype\(int\)"),
        (np.ones((L, 1), int), TypeError, r"\[N\], got dtype int64 and shape \(6, 1\)"),
        (np.ones(5, int), ValueError, "5 labels for 6 examples"),
    ],
)
def test_labels_that_do_not_fit_a_binary_task_are_refused(labels, error, message):
    x_l, _, x_u, _ = sets()
    with pytest.raises(error, match=message):
        lookahead.score(one_logit(), x_l, labels, x_u, task="binary")


def test_a_binary_task_refuses_more_outputs_than_one():
    with pytest.raises(ValueError, match=r"is for a network with one output.*has 3 outputs"):
        lookahead.score(helpers.network(), *sets()[:3], task="binary")
    belief = posterior.condition(
        helpers.square_blocks(np.eye(5), 2), np.zeros((2, 3)), np.zeros((3, 3))
    )
    with pytest.raises(ValueError, match=r"is for a network with one output.*has 3 outputs"):
        lookahead.score_posterior(belief, task="binary")


REFUSING = {
    "score": lambda net, x, y: lookahead.score(net, x, y, x),
    "candidates": lambda net, x, y: CandidateSet(net, x, y, x, np.arange(len(x))),
    "fit": lambda net, x, y: training.fit(
        jax.random.key(0), net, x, y, training.TrainingConfig(epochs=1)
    ),
    "accuracy": training.accuracy,
}


@pytest.mark.parametrize("door", REFUSING)
@pytest.mark.quick
def test_where_classes_are_assumed_one_output_is_refused(door):
    x_l, _, _, _ = sets()
    with pytest.raises(ValueError, match=r"task='binary'; .* task='regression'"):
        REFUSING[door](one_logit(), x_l, np.zeros(L, int))


def test_a_network_with_one_output_predicts_and_has_a_kernel():
    x_l, *_ = sets()
    assert one_logit().check(x_l) == 1
    assert one_logit().predict(x_l).shape == (L, 1)
    np.testing.assert_allclose(
        kernels.gram(one_logit(), x_l), helpers.plain_gram(one_logit(), x_l, x_l), rtol=1e-4
    )


def test_an_unknown_task_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match="unknown task 'ranking'; known: binary, classification"):
        lookahead.score(helpers.network(), *sets()[:3], task="ranking")


def test_strategies_query_class_ids():
    with pytest.raises(ValueError, match=r"strategies query class ids.*lookahead.score"):
        LookaheadOptions(task="binary")
