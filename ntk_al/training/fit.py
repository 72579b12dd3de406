"""Training a network on the labeled examples: SGD with momentum, or any optimizer of optax."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntk_al._utils import checks, examples
from ntk_al.network import Network, parameters
from ntk_al.network.arguments import inference_arguments
from ntk_al.network.definition import Shared
from ntk_al.training import losses
from ntk_al.training.augmentation import AUGMENTATIONS
from ntk_al.training.losses import LOSSES, Objective, Ranking
from ntk_al.training.schedule import one_cycle
from ntk_al.types import Array, PyTree

_ENOUGH_STEPS = 50  # after fewer, a loss may well be where it began
_LEARNED = 0.95  # of the loss of the best constant; what has learned more is below that


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings of training.

    Attributes:
      epochs: passes over the labeled examples.
      batch_size: examples in a step; if there are fewer labeled examples, all of them are used.
      learning_rate: the peak of the one-cycle schedule.
      weight_decay: coefficient of the decay that is added to the gradient, as in PyTorch's SGD.
      momentum: momentum of SGD.
      loss: a key of ``LOSSES``.
      augmentation: a key of ``AUGMENTATIONS``.
      ranking: how loss prediction is trained; only for networks from
        ``models.with_loss_prediction``.

    Raises:
      TypeError: if a number is not a number, or ``epochs`` or ``batch_size`` not a whole one.
      ValueError: if a number is out of range, or a name is unknown.
    """

    epochs: int = 200
    batch_size: int = 32
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    loss: str = "squared"
    augmentation: str = "none"
    ranking: Ranking = dataclasses.field(default_factory=Ranking)

    def __post_init__(self) -> None:
        checks.whole("epochs", self.epochs)
        checks.whole("batch_size", self.batch_size)
        checks.positive("learning_rate", self.learning_rate)
        checks.at_least("weight_decay", self.weight_decay, 0)
        checks.at_least("momentum", self.momentum, 0)
        checks.one_of("loss", self.loss, LOSSES)
        checks.one_of("augmentation", self.augmentation, AUGMENTATIONS)


class DivergedError(ArithmeticError):
    """Raised if training ends with parameters or a loss that are not finite."""


def initialize(key: Array, module: nn.Module, x: PyTree) -> Network:
    """Creates a network with newly initialized variables.

    Args:
      key: PRNG key of the initialization.
      module: a Linen module that returns logits.
      x: example inputs, ``[N, ...]``; only their shape and dtype matter.

    Raises:
      TypeError: if ``key`` is not a PRNG key.
    """
    checks.key("key", key)
    one = examples.on_devices(examples.take(x, slice(1)))
    return Network(module, _init(key, one, module=Shared(module)))


def fit(
    key: Array,
    network: Network,
    x: PyTree,
    y: np.ndarray,
    config: TrainingConfig,
    *,
    optimizer: optax.GradientTransformation | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> tuple[Network, float]:
    """Trains a network on labeled examples, starting from its current parameters and state.

    Networks of every library are trained alike. Dropout is active, and running statistics are
    updated, where the library knows a training mode: in Linen and NNX. In Equinox, dropout is
    active, but BatchNorm keeps its running statistics.

    Python drives the steps, because convolutions inside a loop primitive run an order of magnitude
    slower on CPUs. All steps have the same shape, so a run compiles only once.

    Args:
      key: PRNG key for the order of the examples, the augmentation and dropout.
      network: the network at which training starts.
      x: labeled inputs, ``[L, ...]``, on the host.
      y: class ids ``[L]``, or real targets ``[L, C]``; also ``[L]`` if C = 1.
      config: the settings of training.
      optimizer: any transformation of optax, including its learning rate, for example
        ``optax.adamw(1e-3)``. It takes the place of SGD with the learning rate, momentum and weight
        decay of ``config``. Pass the same object at every call: a new one is compiled anew.
      on_epoch: called after each epoch with its number, from 0, and its mean loss.

    Returns:
      The trained network, and the mean loss of the task over the last epoch, in training mode and
      with augmentation.

    Warns:
      UserWarning: if the last loss is no lower than that of a constant, although at least 50 steps
        were taken.

    Raises:
      DivergedError: if the loss or the variables become NaN or infinite.
      TypeError: if the key, the network, ``x`` or ``y`` has the wrong type.
      ValueError: if inputs or labels do not match the network, or augmentation is requested for
        inputs that are not images.
    """
    checks.key("key", key)
    examples.check("x", x)
    num_examples = examples.count(x)
    y = np.asarray(checks.labels("y", y))
    num_outputs = network.check(x, independent=False)
    parameters.check_any(network)
    if y.ndim == 1 and num_outputs == 1 and np.issubdtype(y.dtype, np.floating):
        y = y[:, None]  # the targets of a regression
    if y.ndim == 1:
        checks.one_output_a_class(num_outputs)
    targets = checks.targets("y", y, num_examples, num_outputs)
    if config.augmentation != "none" and getattr(x, "ndim", 0) != 4:
        raise ValueError(
            f"the augmentation {config.augmentation!r} needs images [N, H, W, channels], got "
            f"{examples.describe(x)}; use augmentation 'none'"
        )
    objective = losses.of_module(network.module, config.loss, config.ranking)
    advice = _advice(config, optimizer)
    batch_size = min(config.batch_size, num_examples)
    steps_per_epoch = -(-num_examples // batch_size)
    if optimizer is None:
        optimizer = _sgd(config.weight_decay, config.momentum)
        scales = -one_cycle(config.epochs * steps_per_epoch, config.learning_rate)
    else:
        _check_optimizer(optimizer)
        scales = np.ones(config.epochs * steps_per_epoch, np.float32)
    state = optimizer.init(parameters.trainable(network))
    order_key, *step_keys = jax.random.split(key, 3)
    batches = _batches(np.random.default_rng(_seed(order_key)), num_examples, batch_size)
    loss = float("nan")
    for epoch in range(config.epochs):
        epoch_losses = []
        for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
            chosen = next(batches)
            network, state, step_loss = _step(
                network,
                state,
                step_keys,
                np.int32(step),
                examples.take(x, chosen),
                y[chosen],
                scales[step],
                epoch / config.epochs,
                optimizer=optimizer,
                objective=objective,
                augmentation=config.augmentation,
            )
            epoch_losses.append(step_loss)
        loss = float(np.mean(jax.device_get(epoch_losses)))
        if not np.isfinite(loss):
            what = f"the training loss became {loss} in epoch {epoch + 1} of {config.epochs}"
            raise DivergedError(f"{what}. {advice}")
        if on_epoch is not None:
            on_epoch(epoch, loss)
    if not _all_finite(network):
        what = f"the parameters are NaN or infinite after the last of {config.epochs} epochs"
        raise DivergedError(f"{what}. {advice}")
    constant = losses.of_best_constant(config.loss, targets)
    if len(scales) >= _ENOUGH_STEPS and loss > _LEARNED * constant > 0:
        warnings.warn(
            f"the network has learned nothing from its {num_examples} labels: after "
            f"{config.epochs} epochs the training loss is {loss:.3g}, and a network that always "
            f"predicts the mean of the labels has {constant:.3g}. {advice} If the learning rate is "
            "low already, train for longer.",
            stacklevel=2,
        )
    return network, loss


def accuracy(network: Network, x: PyTree, y: np.ndarray) -> float:
    """Computes the share of examples that the network classifies correctly.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.
      y: class ids, ``[N]``.

    Raises:
      ValueError: if there is not one class id for each input.
    """
    examples.check_structure("x", x)
    y = np.asarray(checks.labels("y", y))
    if y.shape != (examples.count(x),):
        raise ValueError(
            f"y must be class ids [N] for {examples.count(x)} inputs, got shape {y.shape}"
        )
    num_outputs = network.check(x)
    checks.one_output_a_class(num_outputs)
    checks.class_ids("y", y, num_outputs)
    return float(np.mean(np.asarray(network.predict(x)).argmax(1) == y))


@functools.partial(jax.jit, static_argnames="module")
def _init(key: Array, x: PyTree, *, module: Shared) -> PyTree:
    arguments: dict[str, Any] = inference_arguments(type(module.value))
    return module.value.init(key, x, **arguments)


@functools.lru_cache(maxsize=32)
def _sgd(weight_decay: float, momentum: float) -> optax.GradientTransformation:
    """Makes SGD with momentum but without a learning rate, which scales the update of each step."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.trace(decay=momentum))


@functools.partial(jax.jit, static_argnames=("optimizer", "objective", "augmentation"))
def _step(
    network: Network,
    state: Any,
    keys: Sequence[Array],
    step: Array,
    x: PyTree,
    y: Array,
    scale: Array,
    progress: Array,
    *,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    augmentation: str,
) -> tuple[Network, Any, Array]:
    augmentation_key, dropout_key = (jax.random.fold_in(key, step) for key in keys)
    x = AUGMENTATIONS[augmentation](augmentation_key, x)

    def value(trainable: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
        trained = parameters.replace(network, jax.tree.leaves(trainable))
        return objective(functools.partial(_run, trained, x, dropout_key), y, progress)

    trainable = parameters.trainable(network)
    gradients, (loss, updated) = jax.grad(value, has_aux=True)(trainable)
    updates, state = optimizer.update(gradients, state, trainable)
    updates = jax.tree.map(lambda update: scale * update, updates)
    values = jax.tree.leaves(optax.apply_updates(trainable, updates))
    return parameters.replace(network, values).with_state(updated), state, loss


def _run(network: Network, x: PyTree, key: Array, **arguments: Any) -> tuple[Any, PyTree]:
    """Applies a network in training mode; see ``losses.Run``."""
    definition, params, state = network.definition, network.params, network.state
    output, updated = definition.train(params, state, x, key, **arguments)
    # Another method than the usual one returns what its objective asks for.
    return output if arguments else network.pick(output), updated


@jax.jit
def _all_finite(network: Network) -> Array:
    leaves = [a for a in jax.tree.leaves(network) if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _check_optimizer(optimizer: Any) -> None:
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            "optimizer must be a transformation of optax, such as optax.adamw(1e-3), got "
            f"{optimizer!r}"
        )


def _advice(config: TrainingConfig, optimizer: optax.GradientTransformation | None) -> str:
    rate = f" (it was {config.learning_rate:g})" if optimizer is None else " of the optimizer"
    return f"Lower the learning rate{rate}, or check that the inputs are normalized."


def _batches(
    generator: np.random.Generator, num_examples: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Yields full batches of indices, cut from one random permutation after another."""
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, generator.permutation(num_examples)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def _seed(key: Array) -> int:
    return int(jax.random.bits(key, dtype=jnp.uint32))
