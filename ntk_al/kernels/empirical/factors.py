"""What is recorded of a network: its layers, and the factors of which their gradients are made."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax

from ntk_al.kernels.empirical.layers import LayerRule
from ntk_al.types import Array

Path = tuple[str, ...]

Factor = tuple[tuple[Array, ...], tuple[Array, ...]]
"""The inputs, and the output gradients, of the calls of one layer, ``[N, ...]`` each."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A parameter W that a rule covers, and the calls of its layer; shapes are of one sample.

    Each call computes ``y_t = Wᵀ p_t`` at its output positions t, in each group of channels, where
    p_t is a patch of its input, see ``layers``.

    Attributes:
      path: where the parameter is in ``params``.
      rules: one for each call of the layer, in order.
      inputs: shape ``[...]`` of the input of each call.
      outputs: shape ``[...]`` of the output of each call.
    """

    path: Path
    rules: tuple[LayerRule, ...]
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    outputs: tuple[jax.ShapeDtypeStruct, ...]

    @functools.cached_property
    def num_positions(self) -> int:
        """Output positions T of all calls together."""
        return sum(num_positions for num_positions, _, _ in self._output_gradients)

    @property
    def num_groups(self) -> int:
        """Groups G of channels, each with its own part of W."""
        return self._output_gradients[0][1]

    @property
    def num_channels(self) -> int:
        """Output channels c of a group: the columns of W."""
        return self._output_gradients[0][2]

    @property
    def patch_size(self) -> int:
        """Entries k of a patch in a group: the rows of W."""
        return self.num_windows * self.window_size

    @property
    def num_windows(self) -> int:
        """Windows into which a patch falls apart."""
        return self.rules[0].num_windows

    @functools.cached_property
    def window_size(self) -> int:
        """Entries of a patch that lie in one window."""
        window = functools.partial(self.rules[0].window, index=0)
        return jax.eval_shape(window, _one_sample(self.inputs[0])).shape[3]

    @property
    def num_parameters(self) -> int:
        """Entries of W, and of the row that a sample's gradient makes."""
        return self.num_groups * self.patch_size * self.num_channels

    @property
    def num_factor_entries(self) -> int:
        """Entries of the inputs and output gradients of one sample."""
        return sum(math.prod(a.shape) for a in (*self.inputs, *self.outputs))

    @functools.cached_property
    def _output_gradients(self) -> tuple[tuple[int, ...], ...]:
        """Shape ``[T, G, c]`` of the output gradients δ of each call."""
        return tuple(
            jax.eval_shape(rule.output_gradients, _one_sample(y)).shape[1:]
            for rule, y in zip(self.rules, self.outputs, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A parameter without a rule; its gradient for each sample is taken as it is."""

    path: Path
    size: int


@dataclasses.dataclass(frozen=True)
class Factors:
    """What one pass records of N samples.

    Attributes:
      inputs: for each layer, the input of each of its calls, ``[N, ...]``.
      gradients: for each layer, ∂g/∂y of each of its calls, ``[N, ...]``.
      leaves: for each leaf ∂g/∂θ, ``[N, size]``.
    """

    inputs: tuple[tuple[Array, ...], ...]
    gradients: tuple[tuple[Array, ...], ...]
    leaves: tuple[Array, ...]

    @property
    def of_layers(self) -> list[Factor]:
        """The inputs and the gradients of each layer."""
        return list(zip(self.inputs, self.gradients, strict=True))


jax.tree_util.register_dataclass(Factors, ["inputs", "gradients", "leaves"], [])


def _one_sample(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *x.shape), x.dtype)
