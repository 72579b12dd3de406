"""Layer rules: how the output of an equation depends on the parameter that enters it.

A layer is an equation of the network's program in which a parameter meets an activation in a
bilinear primitive. It computes ``y_t = Wᵀ p_t`` at every output position t and in every group of
channels, where W ``[k, c]`` is the parameter and p_t ``[k]`` is a patch of the activation. The
gradient of the read-out g with respect to W is then Σ_t p_t δ_tᵀ with δ_t = ∂g/∂y_t, so ``routes``
needs only the patches and δ. To add a layer, write a rule and add a row to ``RULES``.

The kernel is exact for parameters without a rule, too: the same backward pass returns their
gradient for each sample. A rule would not make this cheaper for biases and for the scales of
BatchNorm, LayerNorm and GroupNorm, whose gradients are sums over positions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ntk_al._programs.primitives import CONVOLUTION, DOT, GATHER, shaped
from ntk_al.types import Array, ArrayLike

NO_ROW = -1
"""The id of a lookup outside of its table."""


class LayerRule(Protocol):
    """A hashable rule for one equation.

    In the shapes, N is the number of samples, T of output positions and G of channel groups; k is
    the size of a patch in a group, and c the number of output channels in a group.
    """

    @property
    def num_windows(self) -> int:
        """The number of windows of a patch, such as the offsets of a convolution's kernel."""
        ...

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the part of every patch in one window, ``[N, T, G, k']``.

        Args:
          x: the activation, ``[N, ...]``.
          index: the number of the window.
        """
        ...

    def output_gradients(self, gradients: Array) -> Array:
        """Reshapes ∂g/∂y, ``[N, ...]``, to δ, ``[N, T, G, c]``."""
        ...

    def arrange(self, weights: np.ndarray) -> np.ndarray:
        """Brings W, or an array of the same shape, into the form ``[G, k, c]``."""
        ...


@dataclasses.dataclass(frozen=True)
class Contraction:
    """A ``dot_general`` of any axes: a Dense layer, a projection of attention, a head of its own.

    Groups are the batch axes of the product, positions the free axes of the activation.

    Attributes:
      activation_axes: the free, batch and contracted axes of the activation.
      weight_axes: the batch, contracted and free axes of the parameter.
      output_axes: the positions, groups and channels among the axes of the output.
    """

    activation_axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    weight_axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    output_axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    num_windows: ClassVar[int] = 1

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the activation itself, which is the patch."""
        del index
        return _of_samples(x, self.activation_axes)

    def output_gradients(self, gradients: Array) -> Array:
        """Merges the axes of each kind."""
        return _of_samples(gradients, self.output_axes)

    def arrange(self, weights: np.ndarray) -> np.ndarray:
        """Merges the axes of each kind."""
        return _merged(weights, self.weight_axes)


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution with any number of spatial dimensions.

    Attributes:
      kernel_size: taps in each spatial dimension.
      strides: steps of the window.
      input_dilation: distance of input pixels; above 1 in a transposed convolution.
      kernel_dilation: distance of taps.
      padding: pixels before and after each dimension; negative numbers crop.
      groups: the number of groups of channels.
      input_axes: batch, spatial and channel axes of the activation.
      kernel_axes: spatial, input channel and output channel axes of the parameter.
      output_axes: batch, spatial and channel axes of the output.
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int
    input_axes: tuple[int, ...]
    kernel_axes: tuple[int, ...]
    output_axes: tuple[int, ...]

    @property
    def num_windows(self) -> int:
        """The number of kernel offsets."""
        return math.prod(self.kernel_size)

    @property
    def has_plain_input(self) -> bool:
        """Whether the window only moves over the input and zeros around it."""
        crops = any(pixels < 0 for sides in self.padding for pixels in sides)
        return not crops and set(self.input_dilation) == {1}

    def pixels(self, x: Array) -> Array:
        """Returns the input as ``[N, B, *spatial, G, k']``."""
        x = x.transpose(0, *(axis + 1 for axis in self.input_axes))
        return x.reshape(*x.shape[:-1], self.groups, x.shape[-1] // self.groups)

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the input pixels that one kernel offset reads at each output position."""
        rank = len(self.kernel_size)
        x = x.transpose(0, *(axis + 1 for axis in self.input_axes))
        sides = zip(self.padding, self.input_dilation, strict=True)
        padding = [(low, high, step - 1) for (low, high), step in sides]
        none = (0, 0, 0)
        x = jax.lax.pad(x, jnp.zeros((), x.dtype), (none, none, *padding, none))
        offsets = np.indices(self.kernel_size).reshape(rank, -1).T * self.kernel_dilation
        spans = [
            (size - (taps - 1) * step - 1) // stride * stride + 1
            for size, taps, step, stride in zip(
                x.shape[2:-1], self.kernel_size, self.kernel_dilation, self.strides, strict=True
            )
        ]
        start = jnp.asarray(offsets)[index]
        x = jax.lax.dynamic_slice(x, (0, 0, *start, 0), (*x.shape[:2], *spans, x.shape[-1]))
        return self._grouped(x[(..., *(slice(None, None, s) for s in self.strides), slice(None))])

    def output_gradients(self, gradients: Array) -> Array:
        """Flattens all spatial dimensions into one axis of positions."""
        return self._grouped(gradients.transpose(0, *(axis + 1 for axis in self.output_axes)))

    def arrange(self, weights: np.ndarray) -> np.ndarray:
        """Flattens the taps and input channels, and splits the output channels into groups."""
        weights = weights.transpose(self.kernel_axes)
        weights = weights.reshape(-1, self.groups, weights.shape[-1] // self.groups)
        return weights.swapaxes(0, 1)

    def _grouped(self, x: Array) -> Array:
        channels = x.shape[-1] // self.groups
        return x.reshape(len(x), -1, self.groups, channels)


@dataclasses.dataclass(frozen=True)
class Lookup:
    """A gather of whole rows, as in an embedding; the patch of an id is its one-hot vector.

    An id outside of the table picks a row only if it is clipped; otherwise it has no gradient.

    Attributes:
      num_rows: the number of rows of the table, k.
      axis: the axis of the table along which rows are numbered.
      clips: whether ids are clipped to 0..k−1.
      row_axes: the axes of the output that belong to a row; the others are positions.
    """

    num_rows: int
    axis: int
    clips: bool
    row_axes: tuple[int, ...]
    num_windows: ClassVar[int] = 1

    def ids(self, x: Array) -> Array:
        """Returns the rows that are picked, or ``NO_ROW``, ``[N, T]``."""
        ids = x.reshape(len(x), -1)
        if self.clips:
            return jnp.clip(ids, 0, self.num_rows - 1)
        return jnp.where((ids >= 0) & (ids < self.num_rows), ids, NO_ROW)

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the one-hot vectors of the ids."""
        del index
        return jax.nn.one_hot(self.ids(x)[:, :, None], self.num_rows)

    def output_gradients(self, gradients: Array) -> Array:
        """Merges the axes of the positions, and those of a row."""
        positions = tuple(a for a in range(gradients.ndim - 1) if a not in self.row_axes)
        return _of_samples(gradients, (positions, (), self.row_axes))

    def arrange(self, weights: np.ndarray) -> np.ndarray:
        """Brings the axis of rows to the front."""
        return np.moveaxis(weights, self.axis, 0).reshape(1, self.num_rows, -1)


def _contraction(equation: core.JaxprEqn, operand: int) -> LayerRule | str:
    contracted, batch = equation.params["dimension_numbers"]
    num_batch = len(batch[0])
    free = [
        tuple(a for a in range(shaped(v).ndim) if a not in (*contracted[side], *batch[side]))
        for side, v in enumerate(equation.invars)
    ]
    first = len(free[0])
    of_output = [
        tuple(range(num_batch, num_batch + first)),
        tuple(range(num_batch + first, num_batch + first + len(free[1]))),
    ]
    weight, other = operand, 1 - operand
    return Contraction(
        activation_axes=(free[other], tuple(batch[other]), tuple(contracted[other])),
        weight_axes=(tuple(batch[weight]), tuple(contracted[weight]), free[weight]),
        output_axes=(of_output[other], tuple(range(num_batch)), of_output[weight]),
    )


def _convolution(equation: core.JaxprEqn, operand: int) -> LayerRule | str:
    params = equation.params
    if operand == 0:
        return "a parameter that is convolved"
    if params["batch_group_count"] != 1:
        return "batch_group_count"
    inputs, kernel, outputs = params["dimension_numbers"]
    shape = shaped(equation.invars[1]).shape
    return Convolution(
        kernel_size=tuple(shape[axis] for axis in kernel[2:]),
        strides=tuple(params["window_strides"]),
        input_dilation=tuple(params["lhs_dilation"]),
        kernel_dilation=tuple(params["rhs_dilation"]),
        padding=tuple((int(low), int(high)) for low, high in params["padding"]),
        groups=params["feature_group_count"],
        input_axes=(inputs[0], *inputs[2:], inputs[1]),
        kernel_axes=(*kernel[2:], kernel[1], kernel[0]),
        output_axes=(outputs[0], *outputs[2:], outputs[1]),
    )


def _lookup(equation: core.JaxprEqn, operand: int) -> LayerRule | str:
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    shape = shaped(equation.invars[0]).shape
    if operand != 0:
        return "a parameter as an index"
    rows = tuple(numbers.start_index_map)
    one = len(rows) == 1 and tuple(numbers.collapsed_slice_dims) == rows
    if not one or numbers.operand_batching_dims:
        return "a gather of other parts than rows"
    (axis,) = rows
    if any(size != shape[a] for a, size in enumerate(sizes) if a != axis):
        return "a gather of parts of rows"
    clips = equation.params["mode"] == jax.lax.GatherScatterMode.CLIP
    return Lookup(shape[axis], axis, clips, tuple(numbers.offset_dims))


RULES: dict[str, Callable[[core.JaxprEqn, int], LayerRule | str]] = {
    CONVOLUTION: _convolution,
    DOT: _contraction,
    GATHER: _lookup,
}
"""For each primitive, a function of an equation and of the operand that is the parameter.

It returns the rule of the equation, or the name of what no rule covers. The other operand must be
the activation, that is, operand 1 of a parameter 0 and the other way round."""


def _of_samples(x: Array, axes: tuple[tuple[int, ...], ...]) -> Array:
    """Merges each group of axes of an array with a leading axis of samples."""
    shape = [math.prod(x.shape[axis + 1] for axis in group) for group in axes]
    order = (axis + 1 for group in axes for axis in group)
    return x.transpose(0, *order).reshape(len(x), *shape)


def _merged(x: np.ndarray, axes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    shape = [math.prod(x.shape[axis] for axis in group) for group in axes]
    return x.transpose([axis for group in axes for axis in group]).reshape(shape)
