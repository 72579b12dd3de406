from __future__ import annotations

import functools
import os

import jax
import numpy as np
import pytest
import scipy.stats

from experiments import preparation
from experiments.config import Config
from ntk_al import data, kernels, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, requirements, schemes
from ntk_al.kernels.empirical.survey import survey
from ntk_al.models import MODELS
from ntk_al.network.features import last_features
from ntk_al.training import TrainingConfig
from ntk_al.training.losses import Ranking, TaskLossAndRanking, ranking_loss, squared_loss
from tests import helpers
from tests.experiments.test_experiments import main, run, small_flags

KEY = jax.random.key(0)
QUICK_KEY = jax.random.key(1, impl="rbg")  # compiles in half the time
STAGES = {"resnet18": [4, 8, 16, 32], "wide_resnet": [2, 4, 8], "convnet": [3, 6, 6]}
"""Channels of the stages of the tiny models."""


def build(name):
    return helpers.tiny_model(name)


@functools.cache
def backbone(name="convnet"):
    return training.initialize(QUICK_KEY, build(name), pictures(1))


@functools.cache
def wrapped(name="convnet"):
    return models.with_loss_prediction(QUICK_KEY, backbone(name), pictures(1))


def pictures(num, seed=0):
    return np.random.default_rng(seed).normal(size=(num, 8, 8, 1)).astype(np.float32)


def candidates(net, num=7):
    return CandidateSet(net, pictures(2), np.array([0, 1]), pictures(num, 1), 3 * np.arange(num))


@pytest.mark.parametrize(
    ("predicted", "losses", "expected"),
    [
        # Pairs (0, 2) and (1, 3): max(0, −(1.0 − 0.5) + 1) and max(0, (0.0 − 2.0) + 1).
        ([1.0, 0.0, 0.5, 2.0], [3.0, 1.0, 2.0, 4.0], (0.5 + 0.0) / 2),
        ([1.0, 0.0, 0.5, 2.0], [2.0, 4.0, 3.0, 1.0], (1.5 + 3.0) / 2),  # both in the wrong order
        ([1.0, 0.0, 0.5, 2.0, 9.0], [3.0, 1.0, 2.0, 4.0, 0.0], 0.25),  # the last is in no pair
        ([3.0], [1.0], 0.0),
        ([1.0, 0.0], [2.0, 2.0], 2.0),  # not larger: the sign is −1
    ],
)
@pytest.mark.quick
def test_the_ranking_loss_by_hand(predicted, losses, expected):
    value = ranking_loss(np.array(predicted), np.array(losses), margin=1.0)
    assert float(value) == pytest.approx(expected)


def test_the_margin_is_the_difference_that_is_asked_for():
    predicted, losses = np.array([1.0, 0.0]), np.array([2.0, 1.0])
    assert float(ranking_loss(predicted, losses, margin=0.5)) == 0
    assert float(ranking_loss(predicted, losses, margin=3.0)) == pytest.approx(2.0)


def test_as_a_network_it_is_its_backbone():
    x, alone, beside = pictures(3), backbone(), wrapped()
    np.testing.assert_array_equal(alone.predict(x), beside.predict(x))
    np.testing.assert_array_equal(last_features(alone, x), last_features(beside, x))
    for kind, value in alone.variables.items():
        jax.tree.map(np.testing.assert_array_equal, value, beside.variables[kind]["backbone"])


def test_the_kernel_is_that_of_the_backbone_and_costs_no_more():
    x, alone, beside = pictures(4), backbone(), wrapped()
    np.testing.assert_allclose(kernels.gram(beside, x), kernels.gram(alone, x), rtol=1e-6)
    own, other = survey(beside, x), survey(alone, x)
    assert [part.name for part in own.layers] == [f"backbone/{part.name}" for part in other.layers]
    assert [part.name for part in own.leaves] == [f"backbone/{part.name}" for part in other.leaves]


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_a_model_double_their_channels_and_halve_their_pixels(name):
    net = jax.eval_shape(lambda: training.initialize(KEY, build(name), pictures(1)))
    _, stages = jax.eval_shape(
        lambda v: net.module.apply(v, pictures(2), method="with_stages"), net.variables
    )
    pixels = [8 // 2**i for i in range(len(STAGES[name]))]
    expected = [(2, n, n, c) for n, c in zip(pixels, STAGES[name], strict=True)]
    assert [stage.shape for stage in stages] == expected


@pytest.mark.parametrize("name", ["wide_resnet", "convnet"])
def test_the_module_averages_embeds_and_adds_up_each_stage(name):
    x, net = pictures(5), wrapped(name)
    with_stages = jax.jit(functools.partial(net.module.backbone.apply, method="with_stages"))
    logits, stages = with_stages(
        {kind: value["backbone"] for kind, value in net.variables.items()}, x
    )
    np.testing.assert_allclose(logits, net.logits(x), rtol=1e-5, atol=1e-6)
    weights = net.params["loss_prediction"]
    embedded = []
    for number, stage in enumerate(stages):
        layer = weights[f"Dense_{number}"]
        assert layer["kernel"].shape == (stage.shape[-1], 128)
        pooled = np.asarray(stage).mean((1, 2))
        embedded.append(np.maximum(pooled @ layer["kernel"] + layer["bias"], 0))
    last = weights[f"Dense_{len(stages)}"]
    expected = np.concatenate(embedded, axis=1) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(models.predicted_losses(net, x), expected[:, 0], rtol=1e-4)


@pytest.mark.parametrize("stop", [False, True])
def test_the_ranking_moves_the_backbone_until_it_is_stopped(stop):
    x, net, losses = pictures(6), wrapped(), np.arange(6.0)

    @jax.jit
    @jax.grad
    def gradient(params):
        variables = net.with_params(params).variables
        _, predicted = net.module.apply(variables, x, stop=stop, method="with_losses")
        return ranking_loss(predicted, losses, margin=1.0)

    largest = {
        part: max(np.abs(leaf).max() for leaf in jax.tree.leaves(tree))
        for part, tree in gradient(net.params).items()
    }
    assert largest["loss_prediction"] > 0
    assert (largest["backbone"] == 0) == stop


@pytest.mark.parametrize(("epoch", "stopped"), [(0, False), (119, False), (120, True)])
@pytest.mark.quick
def test_it_is_stopped_after_120_of_200_epochs(epoch, stopped):
    given = {}

    def run_module(**arguments):
        given.update(arguments)
        return (np.zeros((4, 3)), np.zeros(4)), {}

    objective = TaskLossAndRanking("squared", Ranking())
    value, (task, _) = objective(run_module, np.zeros(4, int), np.float32(epoch / 200))
    assert given == {"method": "with_losses", "stop": stopped}
    assert float(task) == pytest.approx(1.0)  # ‖0 − one-hot‖²
    assert float(value) == pytest.approx(2.0)  # and the margin, as all predictions are equal


@pytest.mark.parametrize(("stop", "same"), [(0.0, True), (0.6, False)])
def test_stopped_from_the_start_the_backbone_is_trained_as_if_alone(stop, same):
    x, y = pictures(8), helpers.labels(8)
    config = TrainingConfig(epochs=3, batch_size=4, learning_rate=0.05, ranking=Ranking(stop=stop))
    alone, loss_alone = training.fit(KEY, backbone(), x, y, config)
    beside, loss_beside = training.fit(KEY, wrapped(), x, y, config)
    difference = np.abs(alone.logits(x) - beside.logits(x)).max()
    assert (difference < 1e-4) == same
    assert (loss_beside == pytest.approx(loss_alone, rel=1e-4)) == same
    before = wrapped().params["loss_prediction"]["Dense_0"]["kernel"]
    assert np.abs(beside.params["loss_prediction"]["Dense_0"]["kernel"] - before).max() > 1e-4


def test_the_stop_compiles_no_second_step(compilations):
    x, y = pictures(8), helpers.labels(8)
    training.fit(KEY, wrapped(), x, y, TrainingConfig(epochs=1, batch_size=4))
    before = len(compilations)
    training.fit(KEY, wrapped(), x, y, TrainingConfig(epochs=5, batch_size=4))
    assert len(compilations) - before <= 4  # the schedule


def test_the_predictions_rank_the_losses_of_examples_that_were_not_trained_on():
    digits = data.load("digits")
    start = training.initialize(KEY, models.build("convnet", 10, width=8), digits.x_train)
    net = models.with_loss_prediction(jax.random.key(1), start, digits.x_train)
    config = TrainingConfig(epochs=20, batch_size=20, learning_rate=0.05)
    net, _ = training.fit(KEY, net, digits.x_train[:200], digits.y_train[:200], config)
    x, y = digits.x_test, digits.y_test
    losses = squared_loss(net.predict(x), np.eye(10)[y])
    correlation = scipy.stats.spearmanr(models.predicted_losses(net, x), losses).statistic
    assert correlation > 0.2


def test_the_strategy_takes_the_largest_predicted_losses_in_both_schemes():
    given = candidates(wrapped())
    losses = np.asarray(models.predicted_losses(given.network, given.x))
    strategy = STRATEGIES["learning_loss"]
    chosen = strategy(KEY, given, 4)
    assert chosen.ids.tolist() == given.ids[np.argsort(-losses)[:4]].tolist()
    np.testing.assert_array_equal(chosen.utilities, losses)
    told = schemes.sequential(KEY, strategy, candidates(wrapped()), 4, lambda i: 0)
    assert told.ids.tolist() == chosen.ids.tolist()


def test_networks_that_predict_no_losses_are_refused_with_what_would_work():
    with pytest.raises(ValueError, match="MLP has no method with_stages"):
        models.with_loss_prediction(KEY, backbone("mlp"), pictures(1))
    with pytest.raises(ValueError, match="ConvNet predicts no losses: wrap"):
        models.predicted_losses(backbone(), pictures(1))
    message = r"convnet, resnet18, wide_resnet\) .* these work: random, entropy"
    with pytest.raises(ValueError, match=message):
        requirements.check(STRATEGIES, "learning_loss", backbone("mlp"), pictures(1))
    requirements.check(STRATEGIES, "learning_loss", wrapped(), pictures(1))
    with pytest.raises(ValueError, match=r"with_loss_prediction learning_loss$"):
        requirements.check(STRATEGIES, "bald", backbone(), pictures(1))
    assert {name for name, model in MODELS.items() if models.has_stages(model)} >= set(STAGES)


@pytest.mark.parametrize("setting", [{"margin": 0.0}, {"weight": -1.0}, {"stop": float("nan")}])
def test_settings_of_the_ranking_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be"):
        Ranking(**setting)


@pytest.mark.parametrize("scheme", ["batch", "sequential"])
def test_an_experiment_with_learning_loss_and_bald(tmp_path, scheme):
    strategies = ("learning_loss", "bald")
    settings = {"model": "convnet", "scheme": scheme, "strategy": strategies, "dropout": 0.1}
    lines = run(tmp_path, **settings, subset_size=20, batch_size=8)
    assert [(line["strategy"], line["num_labeled"]) for line in lines] == [
        (strategy, number) for strategy in strategies for number in (12, 16)
    ]
    assert lines[0]["config"]["dropout"] == 0.1
    for first, second in (lines[:2], lines[2:]):
        assert len({*first["queried"], *second["queried"]}) == 8


def test_strategies_of_an_experiment_share_the_first_weights_of_the_backbone():
    config, x = Config(), pictures(1)
    module = backbone().module
    plain = preparation.fresh_network(config, module, "random", x, cycle=1)
    beside = preparation.fresh_network(config, module, "learning_loss", x, cycle=1)
    jax.tree.map(np.testing.assert_array_equal, plain.params, beside.params["backbone"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": ("random", "bald")}, "ConvNet has no dropout"),
        ({"strategy": ("learning_loss",), "model": "mlp"}, "MLP predicts no losses"),
    ],
)
def test_what_a_model_lacks_is_found_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path, **settings)
    assert "these work: random" in str(error.value)
    assert not os.listdir(tmp_path)


def test_what_a_model_lacks_is_one_line_on_the_command_line(tmp_path):
    given = small_flags(strategy="learning_loss", model="mlp", workdir=tmp_path / "run")
    done = main(*given)
    assert done.returncode != 0
    assert done.stderr.startswith("error: the strategy 'learning_loss' cannot be used")
    assert "Traceback" not in done.stderr
