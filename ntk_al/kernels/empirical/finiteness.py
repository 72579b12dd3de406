"""Rejects a kernel that is not finite or zero, and says where in the network that begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from ntk_al._utils import batches, checks
from ntk_al.kernels.empirical.capture import capture
from ntk_al.kernels.empirical.limits import CPU
from ntk_al.kernels.empirical.survey import survey
from ntk_al.network import Network
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, PyTree


def check(
    kernel: Sequence[Array], network: Network, sets: tuple[PyTree, ...], readout: str
) -> None:
    """Raises ValueError unless the kernel is finite and some entry is not zero.

    Args:
      kernel: the arrays of the kernel.
      network: the network whose kernel it is.
      sets: the sets of inputs between which it was computed.
      readout: the read-out for which it was computed.

    Raises:
      ValueError: if the kernel is not finite; the message names the first layer that is not. Also
        if the kernel is zero.
    """
    if checks.is_traced(kernel):
        return
    finite, zero = _inspect(tuple(kernel))
    if not finite:
        place = _first_not_finite(network, sets, readout)
        raise ValueError(f"the kernel is not finite{place}. {DIVERGED}")
    if zero:
        raise ValueError(
            f"the kernel is zero: no parameter of the network {network.name} changes the read-out "
            f"{readout!r} at these inputs. Are all parameters frozen (by stop_gradient, or closed "
            "over by the function in place of being passed in params), or all units dead?"
        )


def _first_not_finite(network: Network, sets: tuple[PyTree, ...], readout: str) -> str:
    """Names the first value that is not finite; this diagnosis runs only after a failure."""
    for x in sets:
        for name, arrays in _recorded(network, x, readout):
            if not _is_finite(arrays):
                return f", beginning with {name}"
    return ""


def _recorded(network: Network, x: PyTree, readout: str) -> Iterator[tuple[str, PyTree]]:
    """Yields the name and the value of every record of a set's samples, chunk by chunk."""
    found = survey(network, x)
    layers, leaves = found.layers, found.leaves
    record = jax.jit(capture, static_argnums=(2, 3, 4))
    names = [layer.name for layer in layers]
    for _, (chunk,) in batches.split(CPU.chunk, x):
        factors = record(network, chunk, layers, leaves, readout)
        for name, inputs in zip(names, factors.inputs, strict=True):
            yield f"the input of the layer of {name}", inputs
        for name, gradients in zip(names, factors.gradients, strict=True):
            yield f"the gradient of the layer of {name}", gradients
        for leaf, gradient in zip(leaves, factors.leaves, strict=True):
            yield f"the gradient of parameter {leaf.name}", gradient


@jax.jit
def _inspect(arrays: tuple[Array, ...]) -> tuple[Array, Array]:
    """Returns whether all entries are finite, and whether all are zero."""
    finite = jnp.stack([jnp.isfinite(array).all() for array in arrays]).all()
    return finite, ~jnp.stack([array.any() for array in arrays]).any()


def _is_finite(arrays: PyTree) -> bool:
    return all(bool(jnp.isfinite(array).all()) for array in jax.tree.leaves(arrays))
