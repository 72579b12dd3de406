"""On real digits, probabilities say how often the network is right, and strategies use that."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from ntk_al import data, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.network import PREDICTIVES

NUM_LABELED, U = 40, 500


@functools.cache
def trained():
    """A network that was trained on 40 digits with the squared loss, and 500 other digits."""
    digits = data.load("digits")
    rows = np.random.default_rng(0).permutation(len(digits.x_train))[: NUM_LABELED + U]
    x, y = digits.x_train[rows], digits.y_train[rows]
    network = training.initialize(jax.random.key(0), models.build("convnet", 10, width=32), x)
    config = training.TrainingConfig(epochs=100, batch_size=20)
    network, _ = training.fit(jax.random.key(1), network, x[:NUM_LABELED], y[:NUM_LABELED], config)
    return network, x, y


def query(predictive="calibrated"):
    network, x, y = trained()
    given = CandidateSet(
        network,
        x[:NUM_LABELED],
        y[:NUM_LABELED],
        x[NUM_LABELED:],
        np.arange(U),
        LookaheadOptions(predictive=predictive),
    )
    right = np.asarray(given.network_logits).argmax(1) == y[NUM_LABELED:]
    return given, right


@functools.cache
def wrong_among_first(name, predictive):
    """The share of wrong predictions among the 40 candidates that a strategy queries first."""
    given, right = query(predictive)
    chosen = STRATEGIES[name](jax.random.key(2), given, 40).ids
    return 1 - right[chosen].mean()


def test_the_softmax_of_outputs_of_the_squared_loss_is_nearly_uniform():
    given, right = query("softmax")
    assert right.mean() > 0.7
    assert given.probabilities.max() < 0.35


def test_confidence_is_about_the_accuracy_and_rises_with_it():
    given, right = query()
    confidence = given.probabilities.max(1)
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.15)
    quarters = np.array_split(np.argsort(confidence), 4)
    shares = [right[quarter].mean() for quarter in quarters]
    assert shares == sorted(shares)
    surest = quarters[-1]
    assert shares[-1] > 0.95
    assert (confidence[surest] > 0.5).all()


@pytest.mark.parametrize("name", ["bait", "emoc", "expected_gradient_length", "entropy", "eer"])
def test_strategies_that_weigh_by_probabilities_prefer_uncertain_candidates(name):
    _, right = query()
    share = wrong_among_first(name, "calibrated")
    assert share > 1 - right.mean()


def test_bait_by_the_softmax_prefers_what_the_network_is_surest_of():
    """p (1 − p) rises with p below one half; this is why the softmax of f is not the default."""
    assert wrong_among_first("bait", "softmax") < wrong_among_first("bait", "calibrated")


@pytest.mark.parametrize("predictive", PREDICTIVES)
def test_the_temperature_is_recorded_if_there_is_one(predictive):
    given, _ = query(predictive)
    facts = STRATEGIES["entropy"](jax.random.key(0), given, 1).diagnostics
    assert ("temperature" in facts) == (predictive != "simplex")
    assert STRATEGIES["random"](jax.random.key(0), query()[0], 1).diagnostics == {}
