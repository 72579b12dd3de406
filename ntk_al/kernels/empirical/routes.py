"""Four exact routes from a layer's factors to its part of the kernel, and their costs.

Let p and δ be the patches and output gradients of one sample, and p' and δ' those of another. The
part of the kernel from a layer with parameter W is

    Θ_W = ⟨Σ_t p_t δ_tᵀ, Σ_s p'_s δ'_sᵀ⟩ = Σ_{t,s} ⟨p_t, p'_s⟩ ⟨δ_t, δ'_s⟩ .

``rows`` computes the first form: it forms the matrix Σ_t p_t δ_tᵀ once for each sample, and
multiplies these matrices. ``unfolded`` computes the second form: it multiplies T×T matrices for
each pair of samples, which is cheaper if there are few positions. ``shifted`` is cheaper still for
some convolutions, because their patches overlap: ⟨p_t, p'_s⟩ is a sum, over kernel offsets, of
shifted windows of a single Gram matrix of pixels. ``matched`` is for lookups, whose patches are
one-hot vectors: ⟨p_t, p'_s⟩ is 1 where two ids are equal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al.kernels.empirical.factors import Factor, Layer
from ntk_al.kernels.empirical.layers import NO_ROW, Convolution, LayerRule, Lookup
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.types import Array, PyTree

_MULTIPLY_ADD = 2  # operations for each term of a matrix product
_ELEMENTWISE = 32  # time of an elementwise operation, in operations inside a matrix product
_FLOAT32_BYTES = 4
_UNFOLDED_MATRICES = 2  # ⟨p_t, p'_s⟩ and ⟨δ_t, δ'_s⟩ for each pair of samples
_SHIFTED_MATRICES = 3  # these two and the Gram matrix of pixels


def cheapest(layer: Layer) -> str:
    """Returns the name of the route with the fewest operations for a pair of samples."""
    groups, k, c = layer.num_groups, layer.patch_size, layer.num_channels
    pairs_of_positions = layer.num_positions**2
    costs = {
        "rows": groups * _MULTIPLY_ADD * k * c,
        "unfolded": groups * pairs_of_positions * (_MULTIPLY_ADD * (k + c) + _ELEMENTWISE),
    }
    rule = layer.rules[0]
    if isinstance(rule, Convolution) and rule.has_plain_input and len(layer.rules) == 1:
        channels = layer.inputs[0].shape[rule.input_axes[-1]]
        pairs_of_pixels = (math.prod(layer.inputs[0].shape) // channels) ** 2
        costs["shifted"] = groups * (
            pairs_of_pixels * _MULTIPLY_ADD * layer.window_size
            + pairs_of_positions * (_MULTIPLY_ADD * c + _ELEMENTWISE * (layer.num_windows + 1))
        )
    if all(isinstance(rule, Lookup) for rule in layer.rules):
        costs["matched"] = pairs_of_positions * (_MULTIPLY_ADD * c + _ELEMENTWISE)
    return min(costs, key=costs.__getitem__)


def rows(layer: Layer, factor: Factor, product: Product, workspace: int) -> Array:
    """Computes ∂g/∂W of every sample, ``[N, size]``; patches may take ``workspace`` bytes."""

    def of_call(rule: LayerRule, x: Array, gradients: Array) -> Array:
        return _contract(*_sides(rule, x, gradients), product)

    def of_samples(factor: Factor) -> Array:
        calls = zip(layer.rules, *factor, strict=True)
        return sum(of_call(*call) for call in calls)  # type: ignore[return-value]

    patches = _FLOAT32_BYTES * layer.num_positions * layer.num_groups * layer.patch_size
    return _map_samples(of_samples, factor, patches, workspace)


def window_rows(
    layer: Layer, factor: Factor, window: Array, start: Array, size: int, product: Product
) -> Array:
    """Computes a part of ``rows``, namely one window and ``size`` output channels.

    The layer must have only one call. If rows are computed part by part, those that are larger than
    the factors never have to be stored as a whole.
    """
    (rule,), ((x,), (gradients,)) = layer.rules, factor
    gradients = rule.output_gradients(gradients)
    gradients = jax.lax.dynamic_slice_in_dim(gradients, start, size, 3)
    return _contract(rule.window(x, window), gradients, product)


def unfolded(
    layer: Layer, factor1: Factor, factor2: Factor, product: Product, workspace: int
) -> Array:
    """Computes Σ_{t,s} ⟨p_t, p'_s⟩ ⟨δ_t, δ'_s⟩ for all pairs of samples, ``[N1, N2]``."""

    def sides(factor: Factor) -> list[Array]:
        calls = [_sides(*call) for call in zip(layer.rules, *factor, strict=True)]
        return [jnp.concatenate(side, 1) for side in zip(*calls, strict=True)]

    patches2, gradients2 = sides(factor2)

    def with_all(factor: Factor) -> Array:
        patches1, gradients1 = sides(factor)
        similarity = product("ntgk,msgk->gntms", patches1, patches2)
        return (similarity * product("ntgc,msgc->gntms", gradients1, gradients2)).sum((0, 2, 4))

    positions, groups = gradients2.shape[1:3]
    pairs = _FLOAT32_BYTES * _UNFOLDED_MATRICES * positions**2 * groups * len(gradients2)
    return _map_samples(with_all, factor1, pairs, workspace)


def shifted(
    layer: Layer, factor1: Factor, factor2: Factor, product: Product, workspace: int
) -> Array:
    """``unfolded`` for a convolution with one call; ⟨p_t, p'_s⟩ comes from a Gram of pixels."""
    (rule,) = layer.rules
    assert isinstance(rule, Convolution)

    def sides(factor: Factor) -> tuple[Array, Array]:
        (x,), (gradients,) = factor
        return rule.pixels(x), rule.output_gradients(gradients)

    def pixels(x: Array) -> Array:
        return x.reshape(len(x), -1, *x.shape[-2:])

    x2, gradients2 = sides(factor2)

    def with_all(factor: Factor) -> Array:
        x1, gradients1 = sides(factor)
        similarity = product("nagk,mbgk->gnamb", pixels(x1), pixels(x2))
        similarity = similarity.reshape(rule.groups, *x1.shape[:-2], *x2.shape[:-2])
        gradient = product("ntgc,msgc->gntms", gradients1, gradients2)
        windows = _sum_of_windows(rule, similarity).reshape(gradient.shape)
        return (windows * gradient).sum((0, 2, 4))

    positions = max(math.prod(x2.shape[1:-2]), gradients2.shape[1])
    pairs = _FLOAT32_BYTES * _SHIFTED_MATRICES * positions**2 * rule.groups * len(x2)
    return _map_samples(with_all, factor1, pairs, workspace)


def matched(
    layer: Layer, factor1: Factor, factor2: Factor, product: Product, workspace: int
) -> Array:
    """``unfolded`` for lookups, by comparing ids."""

    def sides(factor: Factor) -> tuple[Array, Array]:
        ids, gradients = [], []
        for rule, x, of_call in zip(layer.rules, *factor, strict=True):
            assert isinstance(rule, Lookup)
            ids.append(rule.ids(x))
            gradients.append(rule.output_gradients(of_call)[:, :, 0])
        return jnp.concatenate(ids, 1), jnp.concatenate(gradients, 1)

    ids2, gradients2 = sides(factor2)

    def with_all(factor: Factor) -> Array:
        ids1, gradients1 = sides(factor)
        same = (ids1[:, :, None, None] == ids2) & (ids1 != NO_ROW)[:, :, None, None]
        gradient = product("ntc,msc->ntms", gradients1, gradients2)
        return jnp.where(same, gradient, 0).sum((1, 3))

    positions = gradients2.shape[1]
    pairs = _FLOAT32_BYTES * _UNFOLDED_MATRICES * positions**2 * len(gradients2)
    return _map_samples(with_all, factor1, pairs, workspace)


PAIR_ROUTES: dict[str, Callable[[Layer, Factor, Factor, Product, int], Array]] = {
    "unfolded": unfolded,
    "shifted": shifted,
    "matched": matched,
}
"""The routes other than ``rows``, which work on the factors of pairs of samples."""


def pair_bytes(layer: Layer, route: str) -> int:
    """Returns the bytes of the T×T matrices of one pair of samples."""
    matrices = _SHIFTED_MATRICES if route == "shifted" else _UNFOLDED_MATRICES
    positions = layer.num_positions
    if route == "shifted":
        (rule,) = layer.rules
        assert isinstance(rule, Convolution)
        channels = layer.inputs[0].shape[rule.input_axes[-1]]
        positions = max(positions, math.prod(layer.inputs[0].shape) // channels)
    return _FLOAT32_BYTES * matrices * positions**2 * layer.num_groups


def _sum_of_windows(rule: Convolution, similarity: Array) -> Array:
    """Σ over offsets o of similarity[t·stride + o − padding, s·stride + o − padding].

    ``similarity`` is ``[G, N1, B, *pixels, N2, B, *pixels]``; pixels in the padding are zero.
    """
    rank = len(rule.kernel_size)
    total: Array | None = None
    for offset in itertools.product(*map(range, rule.kernel_size)):
        slices, pads = [slice(None)] * similarity.ndim, [(0, 0)] * similarity.ndim
        for d in range(rank):
            taps, stride, step = rule.kernel_size[d], rule.strides[d], rule.kernel_dilation[d]
            size, padding = similarity.shape[3 + d], rule.padding[d]
            shift = offset[d] * step - padding[0]
            outputs = (size + sum(padding) - (taps - 1) * step - 1) // stride + 1
            # The output positions first..last are those whose pixel t·stride + shift exists.
            first = min(outputs, max(0, -(shift // stride)))
            last = max(first - 1, min(outputs - 1, (size - 1 - shift) // stride))
            start = first * stride + shift
            for axis in (3 + d, 5 + rank + d):
                slices[axis] = slice(start, start + stride * (last - first + 1), stride)
                pads[axis] = (first, outputs - 1 - last)
        window = jnp.pad(similarity[tuple(slices)], pads)
        total = window if total is None else total + window
    assert total is not None
    return total


def _sides(rule: LayerRule, x: Array, gradients: Array) -> tuple[Array, Array]:
    """Returns the patches ``[N, T, G, k]`` and δ ``[N, T, G, c]`` of one call."""
    parts = [rule.window(x, index) for index in range(rule.num_windows)]
    return jnp.concatenate(parts, -1), rule.output_gradients(gradients)


def _contract(patches: Array, gradients: Array, product: Product) -> Array:
    """Computes Σ_t p_t δ_tᵀ, flattened in the order [c, k], which CPUs multiply fastest."""
    if patches.shape[2] == 1:
        result = product.exact("ntk,ntc->nck", patches[:, :, 0], gradients[:, :, 0])
    else:
        result = product.exact("ntgk,ntgc->ngck", patches, gradients)
    return result.reshape(len(patches), -1)


def _map_samples(
    function: Callable[[PyTree], Array], x: PyTree, sample_bytes: int, workspace: int
) -> Array:
    """Applies a function to equal batches of samples whose temporaries fit into the workspace."""
    num_samples = len(jax.tree_util.tree_leaves(x)[0])
    most = max(1, workspace // sample_bytes)
    batch = max(b for b in range(1, num_samples + 1) if num_samples % b == 0 and b <= most)
    if batch == num_samples:
        return function(x)
    batches = jax.tree.map(lambda a: a.reshape(-1, batch, *a.shape[1:]), x)
    result = jax.lax.map(function, batches)
    return result.reshape(num_samples, *result.shape[2:])
