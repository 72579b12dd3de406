"""What a step of training lowers: the loss of the task, and where losses are predicted their order.

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
import optax

from ntk_al._utils import checks
from ntk_al.models import WithLossPrediction
from ntk_al.types import Array, PyTree


def squared_loss(logits: Array, targets: Array) -> Array:
    """Σ_c (f_c − y_c)², ``[N, C]`` and ``[N, C]`` to ``[N]``."""
    return jnp.square(logits - targets).sum(-1)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "squared": squared_loss,
    "cross_entropy": optax.softmax_cross_entropy,
}
"""Losses of logits and one-hot targets. Eq. 11 of the paper is exact for ``squared``."""


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How a loss-prediction module is trained (Yoo and Kweon 2019, Sections 3.3 and 4.1).

    Attributes:
      margin: ξ in Eq. 2, by which the prediction for the example of higher loss shall be larger.
      weight: λ, of the ranking beside the loss of the task.
      stop: the share of the epochs after which the ranking no longer moves the backbone, in the
        paper 120 of 200.
    """

    margin: float = 1.0
    weight: float = 1.0
    stop: float = 0.6

    def __post_init__(self) -> None:
        checks.positive("margin", self.margin)
        checks.at_least("weight", self.weight, 0)
        checks.at_least("stop", self.stop, 0)


def ranking_loss(predicted: Array, losses: Array, margin: float) -> Array:
    """The mean of Eq. 2 over the pairs of a batch, ``[B]`` and ``[B]`` to a number.

    max(0, −s·(l̂_i − l̂_j) + ξ) with s = 1 where l_i > l_j and −1 elsewhere. The losses l enter only
    by their order, so they get no gradient. The paper cuts a batch of even size into B/2 pairs and
    leaves open which: batches come in a random order, so example i of the first half is paired with
    example i of the second. Of an odd batch the last example is in no pair, and a batch of one has
    the loss 0.
    """
    pairs = len(losses) // 2
    first, second = slice(0, pairs), slice(pairs, 2 * pairs)
    sign = jnp.where(losses[first] > losses[second], 1.0, -1.0)
    hinge = jax.nn.relu(margin - sign * (predicted[first] - predicted[second]))
    return hinge.sum() / max(pairs, 1)


Run = Callable[..., tuple[Any, PyTree]]
"""The module in training mode on the batch of a step, ``run(method=None, **arguments)``, to its
outputs and its updated collections."""


class Objective(Protocol):
    """What a step lowers; hashable, and equal to another that lowers the same."""

    def __call__(self, run: Run, y: Array, progress: Array) -> tuple[Array, tuple[Array, PyTree]]:
        """Class ids ``[B]`` and the share of the epochs that is over to the value that is lowered.

        Beside it the mean loss of the task, and the updated collections.
        """
        ...


@dataclasses.dataclass(frozen=True)
class TaskLoss:
    """The mean loss of the task, a key of ``LOSSES``."""

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

    The losses to be ranked are those that training lowers; the paper has cross-entropy for both.
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
    """The objective by which this kind of module is trained."""
    objective = OBJECTIVES.get(type(module))
    return TaskLoss(loss) if objective is None else objective(loss, ranking)


def _losses(loss: str, logits: Array, y: Array) -> Array:
    return LOSSES[loss](logits, jax.nn.one_hot(y, logits.shape[-1]))
