"""Random projections of ∂g/∂θ: short vectors whose inner products estimate the tangent kernel.

They are count sketches (Charikar, Chen and Farach-Colton 2002): every parameter gets a random sign
and a random place in a short vector, and entries with the same place are added. Averaged over signs
and places, the inner product of two sketches is Θ(x, x'). Here all places get the same number of
entries. The standard deviation is that of dense Gaussian projections, at most about
√(2 Θ(x, x) Θ(x', x') / size), but no P × size matrix is needed.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from ntk_al._utils import batches, checks, examples
from ntk_al.kernels.empirical import capture, routes
from ntk_al.kernels.empirical.factors import Layer, Leaf
from ntk_al.kernels.empirical.limits import CPU
from ntk_al.kernels.empirical.rounding import Product, exact_passes
from ntk_al.kernels.empirical.survey import survey
from ntk_al.network import READOUTS, Network, parameters
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, PyTree

_LARGEST_CHUNK = 32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Hash:
    """How the gradient of one parameter is folded: a random order and a sign for every entry."""

    order: Array
    signs: Array


def sketch(
    network: Network,
    x: PyTree,
    *,
    key: Array,
    size: int = 512,
    readout: str = "first_logit",
) -> Array:
    """Computes sketches Φ(x) with E ⟨Φ(x), Φ(x')⟩ = Θ(x, x'), in expectation over keys.

    Only sketches with the same key, size, readout and network can be compared.

    Args:
      network: the trained network.
      x: inputs, ``[N, ...]``.
      key: PRNG key of the projection.
      size: the length of a sketch.
      readout: see ``kernels.gram``.

    Returns:
      ``[N, size]``, in float32.

    Raises:
      TypeError: if the network or an input has the wrong type.
      ValueError: if a name is unknown, shapes do not match, or values are not finite.
    """
    checks.one_of("readout", readout, READOUTS)
    checks.positive("size", size)
    examples.check("x", x)
    network.check(x)
    parameters.check_any(network)
    network, (x,) = parameters.widened(network, x)
    with exact_passes():
        found = survey(network, x)
        layers, leaves = found.layers, found.leaves
        sizes = [layer.num_parameters for layer in layers] + [leaf.size for leaf in leaves]
        keys = jax.random.split(key, len(sizes))
        hashes = tuple(_draw(k, n) for k, n in zip(keys, sizes, strict=True))
        of_batch = functools.partial(
            _sketch,
            network,
            hashes,
            layers=layers,
            leaves=leaves,
            readout=readout,
            size=size,
        )
        result = batches.map_batches(of_batch, x, batch_size=_LARGEST_CHUNK)
    checks.finite("the gradient of the network", result, hint=DIVERGED)
    return result


@functools.partial(jax.jit, static_argnames=("layers", "leaves", "readout", "size"))
def _sketch(
    network: Network,
    hashes: tuple[_Hash, ...],
    x: PyTree,
    *,
    layers: tuple[Layer, ...],
    leaves: tuple[Leaf, ...],
    readout: str,
    size: int,
) -> Array:
    product = Product("float32", jax.default_backend())
    factors = capture.capture(network, x, layers, leaves, readout)
    rows = [
        routes.rows(layer, factor, product, CPU.workspace)
        for layer, factor in zip(layers, factors.of_layers, strict=True)
    ]
    total = jnp.zeros((examples.count(x), size), jnp.float32)
    for gradient, places in zip([*rows, *factors.leaves], hashes, strict=True):
        total += _scatter(gradient.astype(jnp.float32), places, size)
    return total


def _draw(key: Array, num_entries: int) -> _Hash:
    order_key, sign_key = jax.random.split(key)
    return _Hash(
        order=jax.random.permutation(order_key, num_entries),
        signs=jax.random.rademacher(sign_key, (num_entries,), jnp.float32),
    )


def _scatter(gradient: Array, places: _Hash, size: int) -> Array:
    """Adds signed entries, in a random order, into ``size`` places."""
    entries = (gradient * places.signs[None])[:, places.order]
    entries = jnp.pad(entries, ((0, 0), (0, -entries.shape[1] % size)))
    return entries.reshape(len(gradient), -1, size).sum(1)
