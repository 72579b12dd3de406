"""Float64 for the dense linear algebra of small matrices, without enabling it everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, compat
from ntk_al.types import PyTree


@contextlib.contextmanager
def widest(*operands: object) -> Iterator[jnp.dtype]:
    """Enables float64 inside a block, if the backend supports it, and yields the dtype to use.

    S = Θ(Q, Q) − Θ(Q, L) A⁻¹ Θ(L, Q) subtracts nearly equal numbers, and A may have a condition
    number of a million. Float32 would lose the ranking there. TPUs have no float64 units, and
    traced operands are lowered later, outside this block. In both cases, the dtype is the default
    float dtype.
    """
    if checks.is_traced(operands) or jax.default_backend() == "tpu":
        yield jnp.result_type(float)
        return
    with compat.enable_x64(True):
        yield jnp.dtype(jnp.float64)


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
