"""The records of a network: its layers, and the factors that make up their gradients."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax

from ntk_al.kernels.empirical.layers import LayerRule
from ntk_al.types import Array

Factor = tuple[tuple[Array, ...], tuple[Array, ...]]
"""The inputs and the output gradients of all calls of one layer, ``[N, ...]`` each."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A parameter W that rules cover, and the equations that use it, which are the layer's calls.

    Shapes are those of one sample. W may also be a part of a parameter, such as the slice of
    stacked weights that belongs to one step of a scan. Each call computes ``y_t = Wᵀ p_t`` at every
    output position t and in every group of channels, where p_t is a patch of the activation that
    enters it (see ``layers``).

    Attributes:
      name: the name of the parameter.
      parameter: its number among the parameters of the network.
      equations: the number of each call in the network's program.
      activations: which operand of each call is the activation.
      rules: one rule for each call of the layer, in order.
      inputs: shape ``[...]`` of the input of each call.
      outputs: shape ``[...]`` of the output of each call.
    """

    name: str
    parameter: int
    equations: tuple[int, ...]
    activations: tuple[int, ...]
    rules: tuple[LayerRule, ...]
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    outputs: tuple[jax.ShapeDtypeStruct, ...]

    @functools.cached_property
    def num_positions(self) -> int:
        """T, the number of output positions of all calls together."""
        return sum(num_positions for num_positions, _, _ in self._output_gradients)

    @property
    def num_groups(self) -> int:
        """G, the number of channel groups, each with its own part of W."""
        return self._output_gradients[0][1]

    @property
    def num_channels(self) -> int:
        """c, the number of output channels in a group, or columns of W."""
        return self._output_gradients[0][2]

    @property
    def patch_size(self) -> int:
        """k, the number of entries of a patch in a group, or rows of W."""
        return self.num_windows * self.window_size

    @property
    def num_windows(self) -> int:
        """The number of windows into which a patch can be split."""
        return self.rules[0].num_windows

    @functools.cached_property
    def window_size(self) -> int:
        """The number of entries of a patch in one window."""
        window = functools.partial(self.rules[0].window, index=0)
        return jax.eval_shape(window, _one_sample(self.inputs[0])).shape[3]

    @property
    def num_parameters(self) -> int:
        """The number of entries of W, and thus of a sample's row of the Jacobian."""
        return self.num_groups * self.patch_size * self.num_channels

    @property
    def num_factor_entries(self) -> int:
        """The number of entries of the inputs and output gradients of one sample."""
        return sum(math.prod(a.shape) for a in (*self.inputs, *self.outputs))

    @functools.cached_property
    def _output_gradients(self) -> tuple[tuple[int, ...], ...]:
        """The shape ``[T, G, c]`` of the output gradients δ of each call."""
        return tuple(
            jax.eval_shape(rule.output_gradients, _one_sample(y)).shape[1:]
            for rule, y in zip(self.rules, self.outputs, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A parameter without a rule; the gradient of each sample is used directly.

    Attributes:
      name: the name of the parameter.
      parameter: its number among the parameters of the network.
      size: its number of entries.
    """

    name: str
    parameter: int
    size: int


@dataclasses.dataclass(frozen=True)
class Factors:
    """The records of N samples from one pass.

    Attributes:
      inputs: for each layer, the input of each of its calls, ``[N, ...]``.
      gradients: for each layer, ∂g/∂y of each of its calls, ``[N, ...]``.
      leaves: for each leaf, ∂g/∂θ, ``[N, size]``.
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
