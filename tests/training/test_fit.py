from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntk_al import data, models, training
from ntk_al.training import AUGMENTATIONS, LOSSES, TrainingConfig, losses, schedule
from ntk_al.training.augmentation import shift, shift_and_flip
from tests import helpers

KEY = jax.random.key(0)
QUICK = TrainingConfig(epochs=3, batch_size=4, learning_rate=0.05)


def fresh(seed=0):
    return training.initialize(jax.random.key(seed), helpers.TinyNet(), helpers.images(1))


@pytest.mark.usefixtures("optimized")
def test_digits_are_learned_from_two_hundred_labels():
    digits = data.load("digits")
    net = training.initialize(KEY, models.build("convnet", 10), digits.x_train)
    config = TrainingConfig(epochs=40, batch_size=32, learning_rate=0.1, augmentation="shift")
    net, loss = training.fit(KEY, net, digits.x_train[:200], digits.y_train[:200], config)
    assert training.accuracy(net, digits.x_test, digits.y_test) > 0.9
    assert loss < 0.2


@pytest.mark.parametrize("loss", LOSSES)
def test_a_small_set_is_fitted(loss):
    x, y = helpers.images(8), helpers.labels(8)
    config = TrainingConfig(epochs=150, batch_size=8, learning_rate=0.05, loss=loss)
    net, value = training.fit(KEY, fresh(), x, y, config)
    assert training.accuracy(net, x, y) == 1
    assert value < 0.2


@pytest.mark.quick
def test_one_step_is_sgd_by_hand():
    """One full batch: θ ← θ − η (∇ loss + weight decay · θ); momentum has nothing to add yet."""
    x, y, net = helpers.images(4), helpers.labels(4), fresh()
    config = TrainingConfig(epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.01)
    trained, _ = training.fit(KEY, net, x, y, config)
    rate = 0.1  # a single step has the peak rate

    def loss(params):
        logits, _ = net.module.apply(
            {**net.variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        return jnp.square(logits - np.eye(3)[y]).sum(1).mean()

    gradient = jax.jit(jax.grad(loss))(net.params)
    expected = jax.tree.map(lambda p, g: p - rate * (g + 0.01 * p), net.params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), trained.params, expected)


@pytest.mark.parametrize("num_steps", [4, 7, 100])
def test_the_learning_rate_follows_one_cycle_of_optax(num_steps):
    cycle = optax.cosine_onecycle_schedule(num_steps, 0.1)
    expected = [cycle(step) for step in range(num_steps)]
    np.testing.assert_allclose(schedule.one_cycle(num_steps, 0.1), expected, atol=1e-7)


@pytest.mark.quick
def test_the_squared_loss_is_summed_over_classes():
    loss = losses.squared_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(loss, [2.0])


def test_running_statistics_move_in_training_and_not_in_inference():
    x, y, net = helpers.images(8), helpers.labels(8), fresh()
    trained, _ = training.fit(KEY, net, x, y, QUICK)
    before = jax.tree.leaves(net.variables["batch_stats"])
    after = jax.tree.leaves(trained.variables["batch_stats"])
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, after, strict=True))
    np.testing.assert_array_equal(trained.logits(x), trained.logits(x))


def test_the_key_decides_and_the_start_is_left_alone():
    x, y, net = helpers.images(8), helpers.labels(8), fresh()
    before = jax.tree.map(np.array, net.variables)
    first, loss = training.fit(KEY, net, x, y, QUICK)
    again, same = training.fit(KEY, net, x, y, QUICK)
    assert loss == same
    jax.tree.map(np.testing.assert_array_equal, first.variables, again.variables)
    jax.tree.map(np.testing.assert_array_equal, before, net.variables)
    other, _ = training.fit(jax.random.key(1), net, x, y, QUICK)
    different = jax.tree.map(lambda a, b: np.abs(a - b).max(), first.params, other.params)
    assert max(jax.tree.leaves(different)) > 0


def test_training_on_more_labels_compiles_a_schedule_but_no_new_step(compilations):
    training.fit(KEY, fresh(), helpers.images(9), helpers.labels(9), QUICK)
    start = fresh(1)
    before = len(compilations)
    training.fit(KEY, start, helpers.images(13), helpers.labels(13), QUICK)
    assert len(compilations) - before <= 4  # the schedule and the one-hot labels of the check


def test_epochs_are_reported():
    seen = []
    training.fit(
        KEY,
        fresh(),
        helpers.images(9),
        helpers.labels(9),
        QUICK,
        on_epoch=lambda *e: seen.append(e),
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2]


def test_fewer_examples_than_a_batch_holds_are_enough():
    config = dataclasses.replace(QUICK, batch_size=64)
    training.fit(KEY, fresh(), helpers.images(3), helpers.labels(3), config)


@pytest.mark.quick
def test_shift_moves_an_image_by_at_most_an_eighth():
    image = np.zeros((200, 16, 16, 1), np.float32)
    image[:, 8, 8] = 1
    moved = np.argwhere(np.asarray(shift(KEY, image)) == 1)[:, 1:3]
    assert len(moved) == 200
    assert set((moved - 8).ravel().tolist()) == {-2, -1, 0, 1, 2}


def test_shift_and_flip_mirrors_about_half_of_the_images():
    image = np.zeros((400, 6, 6, 1), np.float32)  # 6 // 8 = 0: no shift
    image[:, 0, 0] = 1
    flipped = np.asarray(shift_and_flip(KEY, image))
    assert 150 < flipped[:, 0, 5].sum() < 250
    np.testing.assert_allclose(flipped.sum((1, 2, 3)), 1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_keeps_shape_and_kind(name):
    x = helpers.images(5)
    augmented = AUGMENTATIONS[name](KEY, x)
    assert augmented.shape == x.shape
    assert augmented.dtype == x.dtype


class Named(nn.Module):
    """A network whose call argument for training has another name, or that has none."""

    @nn.compact
    def __call__(self, x):
        return self.outputs(x, train=False)

    def outputs(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x.reshape(len(x), -1))
        return nn.Dense(3)(nn.Dropout(0.2, deterministic=not train)(x))


class Deterministic(Named):
    @nn.compact
    def __call__(self, x, deterministic):
        return self.outputs(x, train=not deterministic)


class IsTraining(Named):
    @nn.compact
    def __call__(self, x, *, is_training):
        return self.outputs(x, train=is_training)


@pytest.mark.parametrize(
    ("module", "switches"), [(Named(), False), (Deterministic(), True), (IsTraining(), True)]
)
def test_a_module_is_trained_whatever_its_argument_is_called(module, switches):
    x, y = helpers.images(8) + 1, helpers.labels(8)
    start = training.initialize(KEY, module, x)
    trained, _ = training.fit(KEY, start, x, y, QUICK)
    assert np.abs(trained.logits(x) - start.logits(x)).max() > 1e-3
    statistics = [net.variables["batch_stats"]["BatchNorm_0"]["mean"] for net in (start, trained)]
    assert (np.abs(statistics[0] - statistics[1]).max() > 0.1) == switches


def test_another_learning_rate_compiles_no_new_step(compilations):
    x, y, start = helpers.images(8), helpers.labels(8), fresh()
    counts = []
    for rate in (0.05, 0.05, 0.1):
        before = len(compilations)
        training.fit(KEY, start, x, y, dataclasses.replace(QUICK, learning_rate=rate))
        counts.append(len(compilations) - before)
    assert counts[1] == 0
    assert counts[2] <= 1  # the schedule


def test_variables_that_the_last_step_made_infinite_are_not_returned():
    config = TrainingConfig(epochs=1, batch_size=4, learning_rate=1e39)
    with pytest.raises(training.DivergedError, match="after the last of 1 epochs"):
        training.fit(KEY, fresh(), helpers.images(4), helpers.labels(4), config)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_that_learned_nothing_is_warned_of(loss):
    """Its hidden units are dead, so its loss is finite and that of a constant."""
    x, y = helpers.images(12), np.arange(12) % 3
    net = training.initialize(KEY, models.MLP(num_classes=3, width=4), x)
    dead = net.with_params(jax.tree.map(lambda leaf: -jnp.abs(leaf), net.params))
    config = TrainingConfig(epochs=25, batch_size=6, learning_rate=0.05, loss=loss)
    constant = {"squared": "0.667", "cross_entropy": "1.1"}[loss]
    with pytest.warns(UserWarning, match=rf"nothing from its 12 labels.* has {constant}\. Lower"):
        training.fit(KEY, dead, np.abs(x), y, config)
    training.fit(KEY, net, x, y, dataclasses.replace(config, epochs=24))  # too few steps to judge


def test_divergence_stops_the_training_and_says_what_to_do():
    config = TrainingConfig(epochs=50, batch_size=4, learning_rate=1e6)
    with pytest.raises(training.DivergedError, match=r"epoch \d+ of 50. Lower the learning rate"):
        training.fit(KEY, fresh(), helpers.images(8), helpers.labels(8), config)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (helpers.images(0), helpers.labels(0), "x is empty"),
        (helpers.images(4), helpers.labels(5), "5 labels for 4 examples"),
        (helpers.images(4), helpers.labels(4) + 3, "class ids in"),
        (np.full((4, 4, 4, 1), np.inf, np.float32), helpers.labels(4), "NaN or infinite"),
    ],
)
@pytest.mark.quick
def test_training_sets_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        training.fit(KEY, fresh(), x, y, QUICK)


def test_augmentation_needs_images():
    net = training.initialize(KEY, models.build("mlp", 3), np.zeros((1, 5), np.float32))
    config = dataclasses.replace(QUICK, augmentation="shift")
    with pytest.raises(ValueError, match="needs images"):
        training.fit(KEY, net, np.ones((4, 5), np.float32), helpers.labels(4), config)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"weight_decay": -1.0}, "weight_decay must be"),
        ({"loss": "hinge"}, "known: cross_entropy, squared"),
        ({"augmentation": "mixup"}, "known: none, shift, shift_flip"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**setting)


@pytest.mark.parametrize("setting", [{"epochs": 1.5}, {"batch_size": 8.0}])
def test_numbers_of_things_are_whole(setting):
    with pytest.raises(TypeError, match=f"{next(iter(setting))} must be a whole number"):
        TrainingConfig(**setting)


@pytest.mark.parametrize("y", [np.zeros((4, 1), int), np.zeros(1, int), np.full(4, 3)])
def test_accuracy_refuses_labels_that_do_not_fit(y):
    with pytest.raises(ValueError, match="y must be class ids"):
        training.accuracy(helpers.network(), helpers.images(4), y)
