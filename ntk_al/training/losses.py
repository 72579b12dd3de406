"""Training objectives: the loss of the task and, for a network that predicts losses, their ranking.

The type of a module decides its objective, and ``training.fit`` asks ``of_module`` for it. To add
one, add a frozen dataclass and a row to ``OBJECTIVES``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntk_al._utils import checks
from ntk_al.models import WithLossPrediction
from ntk_al.types import Array, PyTree


def squared_loss(logits: Array, targets: Array) -> Array:
    """Computes Σ_c (f_c − y_c)², ``[N]``, from logits ``[N, C]`` and targets ``[N, C]``."""
    return jnp.square(logits - targets).sum(-1)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "squared": squared_loss,
    "cross_entropy": optax.softmax_cross_entropy,
}
"""Losses of logits and one-hot targets. Eq. 11 of the paper is exact for ``squared``."""


def of_best_constant(loss: str, targets: Array) -> float:
    """Computes the mean loss of the best prediction that ignores the inputs.

    Args:
      loss: a key of ``LOSSES``.
      targets: ``[N, C]``.

    Examples:
      >>> of_best_constant("squared", np.eye(2))
      0.5
    """
    values = np.asarray(targets, np.float64)
    mean = values.mean(0)
    if loss == "squared":
        return float(np.square(values - mean).sum(1).mean())
    shares = mean[mean > 0]
    return float(-(shares * np.log(shares / shares.sum())).sum())


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How a loss-prediction module is trained (Yoo and Kweon 2019, Sections 3.3 and 4.1).

    Attributes:
      margin: ξ in Eq. 2, by how much the prediction for the example of higher loss should exceed
        the other one.
      weight: λ in Eq. 3, the weight of the ranking loss relative to the loss of the task.
      stop: the share of the epochs after which the ranking loss no longer changes the backbone; 120
        of 200 epochs in the paper.
    """

    margin: float = 1.0
    weight: float = 1.0
    stop: float = 0.6

    def __post_init__(self) -> None:
        checks.positive("margin", self.margin)
        checks.at_least("weight", self.weight, 0)
        checks.at_least("stop", self.stop, 0)


def ranking_loss(predicted: Array, losses: Array, margin: float) -> Array:
    """Computes the mean of Eq. 2 over the pairs of a batch.

    Eq. 2 is max(0, −s·(l̂_i − l̂_j) + ξ), where s is 1 if l_i > l_j and −1 otherwise. Only the order
    of the losses l matters, so they get no gradient. The paper divides a batch of even size into
    B/2 pairs but does not say how. Here example i of the first half is paired with example i of the
    second half, which is a random pairing because batches have a random order. The last example of
    an odd batch is in no pair, and the ranking loss of a batch of one is 0.

    Args:
      predicted: l̂, ``[B]``.
      losses: l, ``[B]``.
      margin: ξ.

    Examples:
      >>> print(ranking_loss(jnp.array([2.0, 0.5]), jnp.array([1.0, 0.0]), margin=1.0))
      0.0
    """
    pairs = len(losses) // 2
    first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    sign = jnp.where(losses[first] > losses[second], 1.0, -1.0)
    hinge = jax.nn.relu(margin - sign * (predicted[first] - predicted[second]))
    return hinge.sum() / max(pairs, 1)


Run = Callable[..., tuple[Any, PyTree]]
"""``run(method=None, **arguments)`` applies the module, in training mode, to the batch of a step.

It returns the outputs and the updated collections."""


class Objective(Protocol):
    """The objective that a step minimizes; hashable and comparable by value."""

    def __call__(self, run: Run, y: Array, progress: Array) -> tuple[Array, tuple[Array, PyTree]]:
        """Computes the objective for one batch.

        Args:
          run: applies the module to the batch.
          y: class ids ``[B]``, or real targets ``[B, C]``.
          progress: the share of the epochs that is over.

        Returns:
          The value to minimize, and a pair of the mean loss of the task and the updated
          collections.
        """
        ...


@dataclasses.dataclass(frozen=True)
class TaskLoss:
    """The mean loss of the task; ``loss`` is a key of ``LOSSES``."""

    loss: str

    def __call__(self, run: Run, y: Array, progress: Array) -> tuple[Array, tuple[Array, PyTree]]:
        """See ``Objective``."""
        del progress
        logits, updated = run()
        mean = _losses(self.loss, logits, y).mean()
        return mean, (mean, updated)


@dataclasses.dataclass(frozen=True)
class TaskLossAndRanking:
    """Eq. 3 of Yoo and Kweon 2019: the mean loss of the task plus λ times the mean ranking loss.

    The ranked losses are those that training minimizes; in the paper, both are cross-entropy.
    """

    loss: str
    ranking: Ranking

    def __call__(self, run: Run, y: Array, progress: Array) -> tuple[Array, tuple[Array, PyTree]]:
        """See ``Objective``."""
        stop = progress >= self.ranking.stop
        (logits, predicted), updated = run(method="with_losses", stop=stop)
        losses = _losses(self.loss, logits, y)
        order = ranking_loss(predicted, losses, self.ranking.margin)
        return losses.mean() + self.ranking.weight * order, (losses.mean(), updated)


OBJECTIVES: dict[type[nn.Module], Callable[[str, Ranking], Objective]] = {
    WithLossPrediction: TaskLossAndRanking,
}
"""Modules that have another objective than the loss of the task."""


def of_module(module: nn.Module, loss: str, ranking: Ranking) -> Objective:
    """Returns the objective with which a module is trained.

    Args:
      module: the module.
      loss: the loss of the task, a key of ``LOSSES``.
      ranking: how loss prediction is trained, if the module predicts losses.
    """
    objective = OBJECTIVES.get(type(module))
    return TaskLoss(loss) if objective is None else objective(loss, ranking)


def _losses(loss: str, logits: Array, y: Array) -> Array:
    targets = jax.nn.one_hot(y, logits.shape[-1]) if y.ndim == 1 else y
    return LOSSES[loss](logits, targets)
