"""The parameters of a network as a flat list: its real arrays, with respect to which g is derived.

Other leaves of ``params``, such as integers and PRNG keys, are constants to the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ntk_al._utils import examples
from ntk_al.types import Array, PyTree

if TYPE_CHECKING:
    from ntk_al.network.network import Network


def is_parameter(leaf: Any) -> bool:
    """Returns whether a leaf of ``params`` is differentiated."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def parameters(network: Network) -> list[Array]:
    """Returns the parameters in the order of the leaves of ``params``."""
    return [leaf for leaf in jax.tree.leaves(network.params) if is_parameter(leaf)]


def trainable(network: Network) -> PyTree:
    """Returns ``params`` with ``None`` in place of every leaf that is not a parameter."""
    return jax.tree.map(lambda leaf: leaf if is_parameter(leaf) else None, network.params)


def names(network: Network) -> list[str]:
    """Returns the name of each parameter, such as ``Dense_0/kernel``."""
    leaves = jax.tree_util.tree_flatten_with_path(network.params)[0]
    return [_name(path) for path, leaf in leaves if is_parameter(leaf)]


def widened(network: Network, *sets: PyTree) -> tuple[Network, tuple[PyTree, ...]]:
    """Returns the same network and inputs with all half-precision numbers as float32.

    No value changes, but gradients are not rounded to two or three digits any more. A network that
    only works in half precision is returned as it is.

    Args:
      network: the network.
      *sets: inputs, ``[N, ...]`` each.
    """
    values = parameters(network)
    if not any(_is_half(a) for a in values):
        return network, sets

    def wide(a: Any) -> Any:
        return a.astype(jnp.float32) if _is_half(a) else a

    wider = replace(network, [wide(a) for a in values])
    wider = wider.with_state(jax.tree.map(wide, wider.state))
    wider_sets = tuple(jax.tree.map(wide, x) for x in sets)
    try:
        jax.eval_shape(lambda network, x: network.logits(x), wider, examples.shapes(wider_sets[0]))
    except TypeError:
        return network, sets
    return wider, wider_sets


def _is_half(a: Any) -> bool:
    return is_parameter(a) and a.dtype.itemsize < jnp.dtype(jnp.float32).itemsize


def replace(network: Network, values: Sequence[Array]) -> Network:
    """Returns the same network with these parameters."""
    leaves, structure = jax.tree.flatten(network.params)
    remaining = iter(values)
    leaves = [next(remaining) if is_parameter(leaf) else leaf for leaf in leaves]
    return network.with_params(jax.tree.unflatten(structure, leaves))


def check_real(network: Network) -> None:
    """Raises a TypeError that names the first complex parameter, if there is one."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(network.params)[0]:
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise TypeError(
                f"the parameter {_name(path)} of the network {network.name} is complex "
                f"({leaf.dtype}), and the tangent kernel is defined for real parameters; store "
                "its real and imaginary part as two parameters"
            )


def check_any(network: Network) -> None:
    """Raises ValueError if the network has no parameters."""
    if not parameters(network):
        kinds = sorted({type(leaf).__name__ for leaf in jax.tree.leaves(network.params)})
        raise ValueError(
            f"the network {network.name} has no parameters: params must hold real arrays, but "
            f"{'holds only ' + ', '.join(kinds) if kinds else 'is empty'}"
        )


def _name(path: tuple[Any, ...]) -> str:
    # NNX keeps each array in a variable, whose attribute `value` says nothing to the reader.
    entries = [jax.tree_util.keystr((entry,)).strip(".[]'\"") for entry in path]
    if len(entries) > 1 and entries[-1] in ("value", "raw_value"):
        entries.pop()
    return "/".join(entries)
