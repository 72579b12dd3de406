"""Layer rules: how the output of a layer depends on its largest parameter.

Each layer with a rule computes ``y_t = Wᵀ p_t`` at every output position t and in every group of
channels, where W ``[k, c]`` is a parameter and p_t ``[k]`` is a patch of the input. The gradient of
the read-out g with respect to W is then Σ_t p_t δ_tᵀ with δ_t = ∂g/∂y_t, so ``routes`` needs only
the patches and δ. To add a layer, write a rule and add a row to ``RULES``.

The kernel is exact for parameters without a rule, too: the same backward pass returns their
gradient for each sample. A rule would not make this cheaper for biases and for the scales of
BatchNorm, LayerNorm and GroupNorm, whose gradients are sums over positions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.types import Array, ArrayLike


class LayerRule(Protocol):
    """A hashable rule for one call of a layer.

    In the shapes, N is the number of samples, T of output positions and G of channel groups; k is
    the size of a patch in a group, and c the number of output channels in a group.
    """

    parameter: ClassVar[str]

    @property
    def num_windows(self) -> int:
        """The number of windows of a patch, such as the offsets of a convolution's kernel."""
        ...

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the part of every patch in one window, ``[N, T, G, k']``.

        Args:
          x: the input of the call, ``[N, ...]``.
          index: the number of the window.
        """
        ...

    def output_gradients(self, gradients: Array) -> Array:
        """Reshapes ∂g/∂y, ``[N, ...]``, to δ, ``[N, T, G, c]``."""
        ...


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution with any number of spatial dimensions.

    ``padding`` holds the number of pixels before and after each dimension.
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int
    parameter: ClassVar[str] = "kernel"

    @property
    def num_windows(self) -> int:
        """The number of kernel offsets."""
        return math.prod(self.kernel_size)

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the input pixels that one kernel offset reads at each output position."""
        rank = len(self.kernel_size)
        x = x.reshape(len(x), -1, *x.shape[-rank - 1 :])
        x = jnp.pad(x, ((0, 0), (0, 0), *self.padding, (0, 0)))
        offsets = np.indices(self.kernel_size).reshape(rank, -1).T * self.dilation
        spans = [
            (size - (taps - 1) * step - 1) // stride * stride + 1
            for size, taps, step, stride in zip(
                x.shape[2:-1], self.kernel_size, self.dilation, self.strides, strict=True
            )
        ]
        start = jnp.asarray(offsets)[index]
        x = jax.lax.dynamic_slice(x, (0, 0, *start, 0), (*x.shape[:2], *spans, x.shape[-1]))
        return self._grouped(x[(..., *(slice(None, None, s) for s in self.strides), slice(None))])

    def output_gradients(self, gradients: Array) -> Array:
        """Flattens all spatial dimensions into one axis of positions."""
        return self._grouped(gradients)

    def _grouped(self, x: Array) -> Array:
        channels = x.shape[-1] // self.groups
        return x.reshape(len(x), -1, self.groups, channels)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A Dense layer, applied at any number of positions."""

    parameter: ClassVar[str] = "kernel"
    num_windows: ClassVar[int] = 1

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the input itself, which is the patch."""
        del index
        return x.reshape(len(x), -1, 1, x.shape[-1])

    def output_gradients(self, gradients: Array) -> Array:
        """Positions in one."""
        return gradients.reshape(len(gradients), -1, 1, gradients.shape[-1])


@dataclasses.dataclass(frozen=True)
class Lookup:
    """An Embed layer; the patch of an id is its one-hot vector."""

    num_embeddings: int
    parameter: ClassVar[str] = "embedding"
    num_windows: ClassVar[int] = 1

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Returns the one-hot vectors of the ids."""
        del index
        return jax.nn.one_hot(x.reshape(len(x), -1, 1), self.num_embeddings)

    def output_gradients(self, gradients: Array) -> Array:
        """Positions in one."""
        return gradients.reshape(len(gradients), -1, 1, gradients.shape[-1])


def _convolution(module: nn.Conv, x: Array) -> LayerRule | str:
    rank = 1 if isinstance(module.kernel_size, int) else len(module.kernel_size)

    def each(option: Any, default: int = 1) -> tuple[int, ...]:
        option = default if option is None else option
        return (option,) * rank if isinstance(option, int) else tuple(option)

    if any(step != 1 for step in each(module.input_dilation)):
        return "input_dilation"
    if module.mask is not None:
        return "a mask"
    kernel_size, strides = each(module.kernel_size), each(module.strides)
    dilation = each(module.kernel_dilation)
    taps = [(n - 1) * step + 1 for n, step in zip(kernel_size, dilation, strict=True)]
    padding = module.padding
    if padding in ("SAME", "VALID", "SAME_LOWER"):
        pairs = jax.lax.padtype_to_pads(x.shape[-rank - 1 : -1], taps, strides, padding)
    elif padding == "CAUSAL" and rank == 1:
        pairs = [(taps[0] - 1, 0)]
    elif isinstance(padding, str):
        return f"padding {padding!r}"
    else:
        padding = (padding,) * rank if isinstance(padding, int) else padding
        pairs = [(p, p) if isinstance(p, int) else p for p in padding]
    if any(p < 0 for pair in pairs for p in pair):
        return "negative padding"
    return Convolution(
        kernel_size,
        strides,
        dilation,
        tuple((int(low), int(high)) for low, high in pairs),
        module.feature_group_count,
    )


def _linear(module: nn.Dense, x: Array) -> LayerRule | str:
    del module, x
    return Linear()


def _lookup(module: nn.Embed, x: Array) -> LayerRule | str:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return "ids that are not integers"
    return Lookup(module.num_embeddings)


RULES: dict[type[nn.Module], Callable[[Any, Array], LayerRule | str]] = {
    nn.Conv: _convolution,
    nn.Dense: _linear,
    nn.Embed: _lookup,
}
"""For each layer type, a function of a module and its input that returns the rule of that call.

If the module uses an option that no rule covers, the function returns the name of that option."""
