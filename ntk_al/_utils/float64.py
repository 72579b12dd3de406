"""Float64 for the dense linear algebra of small matrices, without enabling it everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, compat, float64_device
from ntk_al.types import PyTree


@contextlib.contextmanager
def widest(*operands: object) -> Iterator[jnp.dtype]:
    """Enables float64 inside a block, if it can be computed, and yields the dtype to use.

    S = Θ(Q, Q) − Θ(Q, L) A⁻¹ Θ(L, Q) subtracts nearly equal numbers, and A may have a condition
    number of a million. Float32 would lose the ranking there. Where the device has no float64 or a
    slow one, the block runs on the host, see ``float64_device``; ``here`` brings operands to it.

    Traced operands are lowered later, outside this block, and those that several devices share stay
    where they are. For the former, and for the latter on TPUs, the dtype is the default one.
    """
    is_shared = _are_shared(operands)
    if checks.is_traced(operands) or (is_shared and jax.default_backend() == "tpu"):
        yield jnp.result_type(float)
        return
    host = None if is_shared else float64_device.host()
    with compat.enable_x64(True), jax.default_device(host) if host else contextlib.nullcontext():
        yield jnp.dtype(jnp.float64)


def here(tree: PyTree) -> PyTree:
    """Inside a block of ``widest``, brings arrays to where the block computes.

    What is made of them stays there, so that later steps compute there, too.
    """
    host = None if checks.is_traced(tree) or _are_shared(tree) else float64_device.host()
    return tree if host is None else jax.device_put(tree, host)


def _are_shared(tree: PyTree) -> bool:
    arrays = (leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array))
    return any(not checks.is_traced(a) and len(a.sharding.device_set) > 1 for a in arrays)


def as_in(tree: PyTree) -> contextlib.AbstractContextManager[object]:
    """Enables float64 inside a block if a leaf is in float64, even a traced one.

    A program that is lowered outside the block keeps its dtypes, as long as it makes no arrays of
    its own, such as ``jnp.arange``, that are wider than the default.
    """
    leaves = jax.tree.leaves(tree)
    is_wide = any(isinstance(x, jax.Array) and x.dtype == jnp.float64 for x in leaves)
    return compat.enable_x64(True) if is_wide else contextlib.nullcontext()


def to_default(tree: PyTree) -> PyTree:
    """Casts the leaves to the default float dtype.

    Inside a block of ``widest``, that is the widest one. Outside, it keeps float64 from leaking.
    """
    return jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(float)), tree)
