"""Shares work among the devices of a mesh with one axis, ``pool``, on one host or on many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ntk_al._utils import checks
from ntk_al.types import ArrayLike, PyTree

MESH_AXIS = "pool"
"""The axis of a mesh along which samples and candidates are divided."""


def check(mesh: Mesh | None) -> None:
    """Raises an error unless this is a mesh and ``pool`` is its only axis."""
    if mesh is not None and not isinstance(mesh, Mesh):
        raise TypeError(
            f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}; make it with "
            f"jax.make_mesh((jax.device_count(),), ({MESH_AXIS!r},))"
        )
    if mesh is not None and mesh.axis_names != (MESH_AXIS,):
        raise ValueError(
            f"the mesh must have the one axis {MESH_AXIS!r}, got {mesh.axis_names}; make it with "
            f"jax.make_mesh((jax.device_count(),), ({MESH_AXIS!r},))"
        )


def automatic(mesh: Mesh | None) -> Mesh | None:
    """Returns a mesh that lets XLA choose the layout of arrays outside of a ``shard_map``.

    It returns ``None`` if there is nothing to share, because the mesh has one device only.
    """
    return None if mesh is None or mesh.size == 1 else Mesh(mesh.devices, mesh.axis_names)


def share(mesh: Mesh, x: PyTree) -> PyTree:
    """Divides the rows of arrays among the devices; every process must have all rows."""
    return jax.device_put(jax.tree.map(np.asarray, x), NamedSharding(mesh, P(MESH_AXIS)))


def replicate(mesh: Mesh, tree: PyTree) -> PyTree:
    """Copies a tree to each device; every process must have the whole tree."""
    return jax.device_put(jax.tree.map(_on_host, tree), NamedSharding(mesh, P()))


def gathered(tree: PyTree) -> PyTree:
    """Copies arrays that several devices of this process share to the host.

    Computations on them would otherwise have to say how their results are shared.
    """

    def copied(leaf: Any) -> Any:
        is_shared = (
            isinstance(leaf, jax.Array)
            and not checks.is_traced(leaf)
            and leaf.is_fully_addressable
            and len(leaf.devices()) > 1
            and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        )
        return np.asarray(leaf) if is_shared else leaf

    return jax.tree.map(copied, tree)


def everywhere(mesh: Mesh | None) -> Callable[[jax.Array], ArrayLike]:
    """Returns a function that gathers a divided array on every process.

    Without a mesh, it is the identity.
    """
    if mesh is None:
        return lambda x: x
    gather = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, P()))
    return lambda x: np.asarray(gather(x))


def settled(mesh: Mesh | None, result: PyTree) -> PyTree:
    """Waits for the result of a program if the devices of the mesh are parts of one CPU.

    Such devices share a pool of threads and a bounded queue each. If one of them is late because
    the cores are busy, while others already wait for it in a collective operation, queued programs
    keep it from ever getting there, and XLA aborts the process after 40 seconds. One program at a
    time cannot do that. Other devices have queues of their own, which stay full.
    """
    if mesh is not None and mesh.devices.flat[0].platform == "cpu" and not checks.is_traced(result):
        jax.block_until_ready(result)
    return result


def _on_host(leaf: Any) -> Any:
    # NumPy has no PRNG keys; where there is one process, any device may hold them. Numbers of
    # Python stay what they are, because arrays of them would be wider than JAX makes them.
    if not hasattr(leaf, "dtype"):
        return leaf
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf if is_key else np.asarray(leaf)
