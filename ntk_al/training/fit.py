"""Training a network on the labeled examples: SGD with momentum on a one-cycle schedule."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntk_al._utils import checks
from ntk_al.network import Network
from ntk_al.network.linen import inference_arguments, training_arguments
from ntk_al.training import losses
from ntk_al.training.augmentation import AUGMENTATIONS
from ntk_al.training.losses import LOSSES, Objective, Ranking
from ntk_al.types import Array, PyTree


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
      TypeError: if a number is not a number.
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
        checks.positive("epochs", self.epochs)
        checks.positive("batch_size", self.batch_size)
        checks.positive("learning_rate", self.learning_rate)
        checks.at_least("weight_decay", self.weight_decay, 0)
        checks.at_least("momentum", self.momentum, 0)
        checks.one_of("loss", self.loss, LOSSES)
        checks.one_of("augmentation", self.augmentation, AUGMENTATIONS)


class DivergedError(ArithmeticError):
    """Raised if training ends with parameters or a loss that are not finite."""


def initialize(key: Array, module: nn.Module, x: np.ndarray) -> Network:
    """Creates a network with newly initialized variables.

    Args:
      key: PRNG key of the initialization.
      module: a Linen module that returns logits.
      x: example inputs, ``[N, ...]``; only their shape and dtype matter.

    Raises:
      TypeError: if ``key`` is not a PRNG key.
    """
    checks.key("key", key)
    return Network(module, _init(key, jnp.asarray(x[:1]), module=module))


def fit(
    key: Array,
    network: Network,
    x: np.ndarray,
    y: np.ndarray,
    config: TrainingConfig,
    *,
    on_epoch: Callable[[int, float], None] | None = None,
) -> tuple[Network, float]:
    """Trains a network on labeled examples, starting from its current variables.

    Python drives the steps, because convolutions inside a loop primitive run an order of magnitude
    slower on CPUs. All steps have the same shape, so a run compiles only once.

    Args:
      key: PRNG key for the order of the examples, the augmentation and dropout.
      network: the network at which training starts.
      x: labeled inputs, ``[L, ...]``, on the host.
      y: class ids, ``[L]``.
      config: the settings of training.
      on_epoch: called after each epoch with its number, from 0, and its mean loss.

    Returns:
      The trained network, and the mean loss of the task over the last epoch, in training mode and
      with augmentation.

    Raises:
      DivergedError: if the loss or the variables become NaN or infinite.
      TypeError: if the key, the network, ``x`` or ``y`` has the wrong type.
      ValueError: if inputs or labels do not match the network, or augmentation is requested for
        inputs that are not images.
    """
    checks.key("key", key)
    checks.inputs("x", x)
    num_classes = network.check(x)
    checks.one_output_a_class(num_classes)
    y = np.asarray(checks.labels("y", y))
    if y.ndim != 1:
        raise ValueError(f"y must be class ids [L], got shape {y.shape}")
    checks.targets("y", y, len(x), num_classes)
    if config.augmentation != "none" and x.ndim != 4:
        raise ValueError(
            f"the augmentation {config.augmentation!r} needs images [N, H, W, channels], got shape "
            f"{x.shape}; use augmentation 'none'"
        )
    optimizer = _optimizer(config.weight_decay, config.momentum)
    objective = losses.of_module(network.module, config.loss, config.ranking)
    state = optimizer.init(network.params)
    batch_size = min(config.batch_size, len(x))
    steps_per_epoch = -(-len(x) // batch_size)
    schedule = np.asarray(_one_cycle(config.epochs * steps_per_epoch, config.learning_rate))
    order_key, augmentation_key, dropout_key = jax.random.split(key, 3)
    batches = _batches(np.random.default_rng(_seed(order_key)), len(x), batch_size)
    variables = network.variables
    loss = float("nan")
    for epoch in range(config.epochs):
        epoch_losses = []
        for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
            chosen = next(batches)
            variables, state, step_loss = _step(
                variables,
                state,
                jax.random.fold_in(augmentation_key, step),
                jax.random.fold_in(dropout_key, step),
                x[chosen],
                y[chosen],
                schedule[step],
                epoch / config.epochs,
                module=network.module,
                optimizer=optimizer,
                objective=objective,
                augmentation=config.augmentation,
            )
            epoch_losses.append(step_loss)
        loss = float(np.mean(jax.device_get(epoch_losses)))
        if not np.isfinite(loss):
            what = f"the training loss became {loss} in epoch {epoch + 1} of {config.epochs}"
            raise DivergedError(f"{what}. {_advice(config)}")
        if on_epoch is not None:
            on_epoch(epoch, loss)
    if not _all_finite(variables):
        what = f"the variables are NaN or infinite after the last of {config.epochs} epochs"
        raise DivergedError(f"{what}. {_advice(config)}")
    return Network(network.module, variables), loss


def accuracy(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    """Computes the share of examples that the network classifies correctly.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.
      y: class ids, ``[N]``.

    Raises:
      ValueError: if there is not one class id for each input.
    """
    y = np.asarray(checks.labels("y", y))
    if y.shape != (len(x),):
        raise ValueError(f"y must be class ids [N] for {len(x)} inputs, got shape {y.shape}")
    num_classes = network.check(x)
    checks.one_output_a_class(num_classes)
    checks.class_ids("y", y, num_classes)
    return float(np.mean(np.asarray(network.predict(x)).argmax(1) == y))


@functools.partial(jax.jit, static_argnames="module")
def _init(key: Array, x: Array, *, module: nn.Module) -> PyTree:
    arguments: dict[str, Any] = inference_arguments(module)
    return module.init(key, x, **arguments)


@functools.lru_cache(maxsize=32)
def _optimizer(weight_decay: float, momentum: float) -> optax.GradientTransformation:
    """Makes SGD with momentum but without a learning rate, which is an argument of each step."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.trace(decay=momentum))


@functools.partial(jax.jit, static_argnames=("module", "optimizer", "objective", "augmentation"))
def _step(
    variables: PyTree,
    state: Any,
    augmentation_key: Array,
    dropout_key: Array,
    x: Array,
    y: Array,
    learning_rate: Array,
    progress: Array,
    *,
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    augmentation: str,
) -> tuple[PyTree, Any, Array]:
    x = AUGMENTATIONS[augmentation](augmentation_key, x)
    others = {name: value for name, value in variables.items() if name != "params"}
    arguments: dict[str, Any] = training_arguments(module)

    def value(params: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
        run = functools.partial(
            module.apply,
            {"params": params, **others},
            x,
            mutable=list(others),
            rngs={"dropout": dropout_key},
            **arguments,
        )
        return objective(run, y, progress)

    gradients, (loss, updated) = jax.grad(value, has_aux=True)(variables["params"])
    updates, state = optimizer.update(gradients, state, variables["params"])
    params = jax.tree.map(lambda p, u: p - learning_rate * u, variables["params"], updates)
    return {**updated, "params": params}, state, loss


@jax.jit
def _all_finite(variables: PyTree) -> Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)]).all()


def _advice(config: TrainingConfig) -> str:
    return (
        f"Lower the learning rate (it was {config.learning_rate:g}), or check that the inputs are "
        "normalized."
    )


@functools.lru_cache(maxsize=32)
def _one_cycle(num_steps: int, peak: float) -> Array:
    schedule = optax.cosine_onecycle_schedule(num_steps, peak)
    return jax.jit(jax.vmap(schedule))(jnp.arange(num_steps)).astype(jnp.float32)


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
