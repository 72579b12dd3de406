"""What the peers' processes share: they run in other environments, and need NumPy only.

A worker is told on standard input, one JSON object a line, which implementation forms the kernel
of how many examples, in tiles of what size, and where to write it; it answers with its peak memory.
It lives until its input ends, so that it compiles once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.benchmarks import resident

Kernel = Callable[[int, int], np.ndarray]  # of a tile and a number of examples


@dataclasses.dataclass(frozen=True)
class Problem:
    """A network and its inputs, as the parent process wrote them.

    Attributes:
      model: a key of ``NETWORKS``.
      threads: that may be used.
      params: by Flax's names, such as ``Conv_0/kernel``.
      batch_stats: likewise.
      x: images ``[N, H, W, channels]``.
    """

    model: str
    threads: int
    params: dict[str, np.ndarray]
    batch_stats: dict[str, np.ndarray]
    x: np.ndarray


def read_problem() -> Problem:
    """The problem that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=list(NETWORKS))
    parser.add_argument("arrays", help="the .npz file of weights and inputs")
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    with np.load(options.arrays) as file:
        arrays = {name: file[name] for name in file.files}
    collections: dict[str, dict[str, np.ndarray]] = {"params": {}, "batch_stats": {}}
    for name in arrays.keys() - {"x"}:
        collection, _, leaf = name.partition("/")
        collections[collection][leaf] = arrays[name]
    return Problem(options.model, options.threads, x=arrays["x"], **collections)


def serve(kernels: Mapping[str, Kernel]) -> None:
    """Answers requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)

        def form(request: dict[str, Any] = request) -> None:
            kernel = kernels[request["implementation"]]
            np.save(request["path"], kernel(request["tile"], request["num_examples"]))

        print(json.dumps({"peak": resident.added_by(form)}), flush=True)


@dataclasses.dataclass(frozen=True)
class Primitives:
    """A framework's functions that layers are made of.

    Attributes:
      conv: of ``x, kernel, stride``, padded as by "SAME" in JAX.
      batch_norm: of ``x, scale, bias, mean, var``, by these statistics and Flax's epsilon of 1e-5.
      relu: of ``x``.
      global_mean: of ``x``, over its pixels.
    """

    conv: Callable[[Any, Any, int], Any]
    batch_norm: Callable[..., Any]
    relu: Callable[[Any], Any]
    global_mean: Callable[[Any], Any]


class Layers:
    """Layers of one forward pass, with weights found as Flax names them: by kind, in call order."""

    def __init__(
        self, primitives: Primitives, params: Mapping[str, Any], batch_stats: Mapping[str, Any]
    ) -> None:
        self.relu = primitives.relu
        self._primitives = primitives
        self._weights = {**params, **batch_stats}
        self._calls = {"Conv": 0, "BatchNorm": 0}

    def conv(self, x: Any, stride: int = 1) -> Any:
        """The next convolution."""
        (kernel,) = self._next("Conv", "kernel")
        return self._primitives.conv(x, kernel, stride)

    def batch_norm(self, x: Any) -> Any:
        """The next BatchNorm."""
        weights = self._next("BatchNorm", "scale", "bias", "mean", "var")
        return self._primitives.batch_norm(x, *weights)

    def logits(self, x: Any) -> Any:
        """The dense layer on the mean over pixels."""
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
