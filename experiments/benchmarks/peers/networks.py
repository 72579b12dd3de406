"""Networks of ``ntk_al.models`` in inference mode, in a form that all frameworks share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Primitives:
    """The functions of a framework from which layers are built.

    Attributes:
      conv: ``conv(x, kernel, stride)``, a convolution with the padding that JAX calls "SAME".
      batch_norm: ``batch_norm(x, scale, bias, mean, var)``, with Flax's epsilon of 1e-5.
      relu: ``relu(x)``.
      global_mean: ``global_mean(x)``, the mean over all pixels.
    """

    conv: Callable[[Any, Any, int], Any]
    batch_norm: Callable[..., Any]
    relu: Callable[[Any], Any]
    global_mean: Callable[[Any], Any]


class Layers:
    """The layers of one forward pass; weights are found by Flax's names, in the order of calls."""

    def __init__(
        self, primitives: Primitives, params: Mapping[str, Any], batch_stats: Mapping[str, Any]
    ) -> None:
        self.relu = primitives.relu
        self._primitives = primitives
        self._weights = {**params, **batch_stats}
        self._calls = {"Conv": 0, "BatchNorm": 0}

    def conv(self, x: Any, stride: int = 1) -> Any:
        """Applies the next convolution."""
        (kernel,) = self._next("Conv", "kernel")
        return self._primitives.conv(x, kernel, stride)

    def batch_norm(self, x: Any) -> Any:
        """Applies the next BatchNorm."""
        weights = self._next("BatchNorm", "scale", "bias", "mean", "var")
        return self._primitives.batch_norm(x, *weights)

    def logits(self, x: Any) -> Any:
        """Applies the dense layer to the mean over pixels."""
        mean = self._primitives.global_mean(x)
        return mean @ self._weights["Dense_0/kernel"] + self._weights["Dense_0/bias"]

    def _next(self, kind: str, *names: str) -> list[Any]:
        number = self._calls[kind]
        self._calls[kind] += 1
        return [self._weights[f"{kind}_{number}/{name}"] for name in names]


def resnet18(layers: Layers, x: Any) -> Any:
    """``ntk_al.models.ResNet18`` in inference mode."""
    x = layers.relu(layers.batch_norm(layers.conv(x)))
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            y = layers.relu(layers.batch_norm(layers.conv(x, stride)))
            y = layers.batch_norm(layers.conv(y))
            if x.shape != y.shape:
                x = layers.batch_norm(layers.conv(x, stride))
            x = layers.relu(x + y)
    return layers.logits(x)


def wide_resnet(layers: Layers, x: Any) -> Any:
    """``ntk_al.models.WideResNet`` with one block in each of three stages, in inference mode."""
    x = layers.conv(x)
    for stage in range(3):
        stride = 2 if stage > 0 else 1
        activated = layers.relu(layers.batch_norm(x))
        y = layers.conv(activated, stride)
        y = layers.conv(layers.relu(layers.batch_norm(y)))
        x = y + (x if x.shape == y.shape else layers.conv(activated, stride))
    return layers.logits(layers.relu(layers.batch_norm(x)))


NETWORKS: dict[str, Callable[[Layers, Any], Any]] = {
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
}
