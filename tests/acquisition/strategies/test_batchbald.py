from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.acquisition.strategies.batchbald import batchbald
from ntk_al.network.dropout import sample_logits
from tests import helpers

KEY = jax.random.key(5)
DRAWS = 16


class Coins(nn.Module):
    """Logits (Σ_i ±x_i, 0), a coin for each sign: dropout of rate 1/2 doubles what it keeps."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        total = (nn.Dropout(0.5, deterministic=not train)(x) - x).sum(-1, keepdims=True)
        return jnp.concatenate([total, jnp.zeros_like(total)], axis=1)


def candidates(net, x, ids=None):
    ids = 5 + 2 * np.arange(len(x)) if ids is None else ids
    options = LookaheadOptions(predictive=helpers.PREDICTIVE)
    return CandidateSet(net, x[:2], np.array([0, 1]), x, ids, options)


@pytest.fixture(scope="module")
def given():
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    net = training.initialize(KEY, models.build("mlp", 3, dropout=0.4), x)
    return candidates(net, 3 * x)


@pytest.fixture(scope="module")
def probabilities(given):
    """p_t(y | x) of the strategy's draws, one at a time, ``[T, U, C]``."""
    draw_key, *_ = jax.random.split(KEY, 3)
    keys = [jax.random.fold_in(draw_key, t) for t in range(DRAWS)]
    return np.stack(
        [
            np.concatenate(
                [
                    helpers.probabilities(sample_logits(given.network, key[None], example[None]))
                    for example in given.x
                ]
            )
            for key in keys
        ]
    )


def information(p, weights):
    """The mutual information of each label and the draws, which have these weights, ``[U]``."""
    own = np.stack([helpers.entropy(of_draw) for of_draw in p])
    return helpers.entropy(np.tensordot(weights, p, 1)) - weights @ own


def test_the_first_value_is_the_information_of_one_label(given, probabilities):
    choice = batchbald(KEY, given, 1, num_samples=DRAWS)
    expected = information(probabilities, np.full(DRAWS, 1 / DRAWS))
    np.testing.assert_allclose(choice.utilities, expected, rtol=1e-3, atol=1e-6)
    assert choice.rows[0] == expected.argmax()


def test_a_known_label_weighs_the_draws_by_how_well_they_foresaw_it(given, probabilities):
    later = given.observe(3, 2).observe(1, 0)
    choice = batchbald(KEY, later, 1, num_samples=DRAWS)
    weights = probabilities[:, 3, 2] * probabilities[:, 1, 0]
    expected = information(probabilities, weights / weights.sum())
    np.testing.assert_allclose(choice.utilities, expected, rtol=1e-3, atol=1e-6)


def test_the_next_pick_adds_most_information_in_the_mean_over_the_labels_of_the_picks(
    given, probabilities
):
    options = {"num_samples": DRAWS, "labelings_per_sample": 500}
    rows = batchbald(KEY, given, 3, **options).rows
    joint = np.full((1, DRAWS), 1 / DRAWS)  # P(labeling, draw), for all labelings of the picks
    for before, row in zip([[], rows[:1], rows[:2]], rows, strict=True):
        likely = joint.sum(1)
        value = sum(
            share * information(probabilities, own / share)
            for own, share in zip(joint, likely, strict=True)
        )
        value[list(before)] = -np.inf
        assert value[row] > value.max() - 1e-3
        joint = (joint[:, None] * probabilities[:, row].T[None]).reshape(-1, DRAWS)


def test_a_copy_of_a_pick_is_not_chosen_while_there_is_more_to_learn():
    """Five candidates ask for one coin, and one asks, less clearly, for another."""
    x = np.array([[3, 0], [3, 0], [3, 0], [3, 0], [3, 0], [0, 0.3]], np.float32)
    given = candidates(Network(Coins(), {"params": {}}), x)
    assert 5 not in {given.ids.tolist().index(i) for i in STRATEGIES["bald"](KEY, given, 2).ids}
    assert 5 in batchbald(KEY, given, 2).rows


def test_no_value_is_negative_and_none_is_left_when_all_is_known():
    x = np.array([[9, 0], [9, 0], [0, 9], [0, 9], [0, 0]], np.float32)
    given = candidates(Network(Coins(), {"params": {}}), x)
    known = given.observe(0, 1).observe(2, 0)
    utilities = batchbald(KEY, known, 3).utilities
    np.testing.assert_allclose(utilities, 0, atol=1e-3)
    assert min(utilities) > -1e-6
