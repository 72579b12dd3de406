"""Networks that predict the loss of their inputs (Yoo and Kweon 2019, arXiv:1905.03677)."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ntk_al._utils import batches, checks
from ntk_al.network import Network
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, ArrayLike, PyTree


class LossPrediction(nn.Module):
    """The loss-prediction module of Section 3.2 and Figure 2.

    The output of each stage is averaged over its pixels and goes through a Dense layer of its own
    with ReLU. The results are concatenated and go through a last Dense layer.

    Attributes:
      units: units of each stage's layer; 128 in the paper.
    """

    units: int = 128

    @nn.compact
    def __call__(self, stages: tuple[Array, ...]) -> Array:
        """Maps the outputs of the stages, ``[N, h, w, c]`` each, to predicted losses ``[N]``."""
        embedded = [nn.relu(nn.Dense(self.units)(stage.mean((1, 2)))) for stage in stages]
        return nn.Dense(1)(jnp.concatenate(embedded, axis=-1))[:, 0]


class WithLossPrediction(nn.Module):
    """A network with a small module beside it that predicts the loss of each input.

    Called like any network, it has the logits, features and tangent kernel of its backbone.

    Attributes:
      backbone: a module with a method ``with_stages(x, train)`` that returns the logits and the
        outputs ``[N, h, w, c]`` of its stages. The paper uses the four stages of ResNet18;
        here WideResNet offers its three stages, and ConvNet its three convolutions.
    """

    backbone: nn.Module

    def setup(self) -> None:
        """Creates the module beside the backbone."""
        self.loss_prediction = LossPrediction()

    def __call__(self, x: Array, train: bool = False) -> Array:
        """Images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        logits: Array = self.backbone(x, train=train)
        return logits

    def with_losses(
        self, x: Array, train: bool = False, stop: Array | bool = False
    ) -> tuple[Array, Array]:
        """The logits ``[N, C]`` and predicted losses ``[N]``.

        Args:
          x: images, ``[N, H, W, channels]``.
          train: passed on to the backbone.
          stop: whether to stop the gradients of the predicted losses before the backbone; may be
        traced.
        """
        logits, stages = self.backbone.with_stages(x, train=train)
        stages = tuple(jnp.where(stop, jax.lax.stop_gradient(s), s) for s in stages)
        return logits, self.loss_prediction(stages)


def has_stages(module: nn.Module | type[nn.Module]) -> bool:
    """Whether ``with_loss_prediction`` accepts networks with this module."""
    return hasattr(module if isinstance(module, type) else type(module), "with_stages")


def with_loss_prediction(key: Array, network: Network, x: ArrayLike) -> Network:
    """Puts a fresh loss-prediction module beside a network; training then fits both.

    Args:
      key: PRNG key for the weights of the loss-prediction module.
      network: a network whose module has stages, not trained yet. Its variables are kept.
      x: inputs, ``[N, ...]``; only their shape is used.

    Returns:
      A network whose module is ``WithLossPrediction``.

    Raises:
      ValueError: the network's module has no stages.
    """
    if not has_stages(network.module):
        raise ValueError(
            f"{network.name} has no method with_stages(x, train) that returns the "
            "logits and a tuple of the outputs [N, h, w, c] of its stages, from which losses are "
            "predicted"
        )
    variables = {name: {"backbone": value} for name, value in network.variables.items()}
    variables["params"]["loss_prediction"] = _init(key, network, jnp.asarray(x[:1]))
    return Network(WithLossPrediction(network.module), variables)


def predicted_losses(network: Network, x: ArrayLike) -> Array:
    """Predicts the losses of inputs; only the order of the predictions is meaningful.

    Args:
      network: a network from ``with_loss_prediction``, after training.
      x: inputs, ``[N, ...]``.

    Returns:
      Predicted losses, ``[N]``.

    Raises:
      ValueError: a network without a loss-prediction module, or predictions that are not finite.
    """
    if not isinstance(network.module, WithLossPrediction):
        raise ValueError(
            f"{network.name} predicts no losses: wrap the network with "
            "models.with_loss_prediction before it is trained"
        )
    losses = batches.map_batches(functools.partial(_predicted, network), x)
    checks.finite("the predicted losses", losses, hint=DIVERGED)
    return losses


@jax.jit
def _init(key: Array, network: Network, x: Array) -> PyTree:
    _, stages = network.module.apply(network.variables, x, train=False, method="with_stages")
    return LossPrediction().init(key, stages)["params"]


@jax.jit
def _predicted(network: Network, x: Array) -> Array:
    output: Any = network.module.apply(network.variables, x, train=False, method="with_losses")
    losses: Array = output[1]
    return losses
