"""What the engine must know of a layer: how its output depends on its largest parameter.

Each layer here computes, at every output position t and in every group of channels, the product
``y_t = Wᵀ p_t`` of a parameter W ``[k, c]`` with a patch p_t ``[k]`` of the input. The gradient of
the read-out g with respect to W is then Σ_t p_t δ_tᵀ with δ_t = ∂g/∂y_t, and everything in
``routes`` follows from patches and δ. To teach the engine a layer, write such a class and a row in
``RULES``.

Parameters that no rule covers need none to be exact: their gradient for each sample comes out of
the same backward pass. That is as cheap as a rule would be for a bias and for the scales of
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
    """Hashable; ``N`` samples, ``T`` positions, ``G`` groups, ``k`` and ``c`` channels in each."""

    parameter: ClassVar[str]

    @property
    def num_windows(self) -> int:
        """Into how many windows a patch falls apart: the offsets of a convolution's kernel."""
        ...

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Input ``[N, ...]`` to the part of every patch in one window, ``[N, T, G, k']``."""
        ...

    def output_gradients(self, gradients: Array) -> Array:
        """∂g/∂y ``[N, ...]`` to δ, ``[N, T, G, c]``."""
        ...


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Any number of spatial dimensions; ``padding`` is given as pixels before and after."""

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
        """The input as one kernel offset sees it."""
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
        """Positions of all spatial dimensions in one."""
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
        """The input is the patch."""
        del index
        return x.reshape(len(x), -1, 1, x.shape[-1])

    def output_gradients(self, gradients: Array) -> Array:
        """Positions in one."""
        return gradients.reshape(len(gradients), -1, 1, gradients.shape[-1])


@dataclasses.dataclass(frozen=True)
class Lookup:
    """An Embed layer: the patch of an id is its unit vector."""

    num_embeddings: int
    parameter: ClassVar[str] = "embedding"
    num_windows: ClassVar[int] = 1

    def window(self, x: Array, index: ArrayLike | int) -> Array:
        """Unit vectors of the ids."""
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
"""Layer type to the rule for one of its calls, or to the option that no rule covers."""
