"""The compiled programs of the engine. Each runs on one chunk, one tile or one pair of tiles.

On a mesh, every program is a ``shard_map``: each device holds its share of the samples of every
tile, and gathers all samples of the second factor of a product, see ``Demand.products``.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ntk_al._utils import checks, examples, sharding
from ntk_al._utils.sharding import MESH_AXIS
from ntk_al.kernels.empirical.capture import capture
from ntk_al.kernels.empirical.factors import Factor, Factors
from ntk_al.kernels.empirical.limits import Limits
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.steps import Group, LayerPairs, LayerParts, Reducing
from ntk_al.network import Network
from ntk_al.types import Array, PyTree

Kept = tuple[PyTree, ...]
"""What each step of a group keeps of the samples of a tile: their rows or their factors."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """The static inputs of every program of a plan; hashable, so each program is compiled once.

    Attributes:
      readout: a key of ``READOUTS``.
      product: how entries are multiplied.
      limits: the limits of the device.
      mesh: devices that share each tile; ``None`` means one device.
      in_turn: whether every program waits for the one before, see ``Plan``.
    """

    readout: str
    product: Product
    limits: Limits
    mesh: Mesh | None
    in_turn: bool = dataclasses.field(default=False, compare=False)  # programs are the same

    @property
    def num_devices(self) -> int:
        """The number of devices that share each tile."""
        return self.mesh.size if self.mesh else 1

    def place(self, x: PyTree) -> PyTree:
        """Puts the samples of a tile on the devices that share them."""
        if self.mesh is None:
            return examples.on_devices(x)
        return sharding.share(self.mesh, x)

    def shapes(self, tree: PyTree) -> PyTree:
        """Returns the shapes of arrays, with the sharding of a tile's samples."""
        device = NamedSharding(self.mesh, P(MESH_AXIS)) if self.mesh else None
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), tree)

    def zeros(self, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        """Makes zeros that the devices share along the first axis."""
        device = NamedSharding(self.mesh, P(MESH_AXIS)) if self.mesh else None
        return jnp.zeros(shape, dtype, device=device)

    def by_columns(self, block: Array) -> Array:
        """Within a program, divides the columns of a block among the devices, if they divide."""
        if self.mesh is None:
            return block
        spec = P(None, MESH_AXIS) if block.shape[1] % self.mesh.size == 0 else P()
        return jax.lax.with_sharding_constraint(block, NamedSharding(self.mesh, spec))

    def gathered(self, tree: PyTree) -> PyTree:
        """Within a program, gathers all samples of a tile from the shares of all devices."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda a: jax.lax.all_gather(a, MESH_AXIS, tiled=True), tree)


def _program(*is_shared: bool, in_place: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Makes a decorator that compiles a function for all devices.

    Each device applies the function to its share of the samples. The first argument of the function
    is the setting, the last ones are arrays or trees of arrays, and all others are static. The
    devices share the samples of the result.

    Args:
      *is_shared: for each array argument, true if the devices share its samples, and false if
        every device has all of it.
      in_place: whether the result may reuse the memory of the first array argument.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        num_static = len(inspect.signature(function).parameters) - len(is_shared)

        @functools.wraps(function)
        def program(setting: Setting, *arguments: Any) -> Any:
            static, arrays = arguments[: num_static - 1], arguments[num_static - 1 :]
            local = functools.partial(function, setting, *static)
            if setting.mesh is not None:
                local = jax.shard_map(
                    local,
                    mesh=setting.mesh,
                    in_specs=tuple(P(MESH_AXIS) if shared else P() for shared in is_shared),
                    out_specs=P(MESH_AXIS),
                    check_vma=False,
                )
            return local(*arrays)

        jitted = jax.jit(
            program,
            static_argnums=tuple(range(num_static)),
            donate_argnums=(num_static,) if in_place else (),
        )

        @functools.wraps(jitted)
        def settled(setting: Setting, *arguments: Any) -> Any:
            result = jitted(setting, *arguments)
            if setting.in_turn and not checks.is_traced(result):
                return jax.block_until_ready(result)
            return sharding.settled(setting.mesh, result)

        settled.lower = jitted.lower  # type: ignore[attr-defined]
        return settled

    return compiled


@_program(True, False)
def chunk_of(setting: Setting, size: int, tile: PyTree, start: Array) -> PyTree:
    """Cuts ``size`` samples, on every device, from a tile."""
    return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, size), tile)


# These two take a chunk, not a tile: they take longest to compile, and all chunks have one shape.
@_program(False, True)
def record(setting: Setting, group: Group, network: Network, x: PyTree) -> Factors:
    """Records the factors of a chunk."""
    return capture(network, x, group.layers, group.leaves, setting.readout)


@_program(True)
def keep(setting: Setting, steps: tuple[Reducing, ...], records: Kept) -> Kept:
    """Reduces the records of a chunk to what each step keeps."""
    workspace = setting.limits.workspace
    return tuple(
        step.keep(of_step, setting.product, workspace)
        for step, of_step in zip(steps, records, strict=True)
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def zeros_of_tile(setting: Setting, size: int, part: Kept) -> Kept:
    """Makes room for what is kept of a tile, in the form of what is kept of a chunk."""

    def zeros(leaf: Array) -> Array:
        room = jnp.zeros((size, *leaf.shape[1:]), leaf.dtype)
        if setting.mesh is None:
            return room
        return jax.lax.with_sharding_constraint(room, NamedSharding(setting.mesh, P(MESH_AXIS)))

    return jax.tree.map(zeros, part)


@_program(True, True, False, in_place=True)
def put(setting: Setting, kept: Kept, part: Kept, start: Array) -> Kept:
    """Writes what is kept of a chunk into what is kept of its tile."""
    return jax.tree.map(
        lambda whole, p: jax.lax.dynamic_update_slice_in_dim(whole, p, start, 0), kept, part
    )


@_program(True, False, False)
def part_of_rows(
    setting: Setting, step: LayerParts, factor: Factor, window: Array, start: Array
) -> Array:
    """Computes a part of the rows of a tile: one window, from output channel ``start`` on."""
    return step.rows(factor, window, start, setting.product)


@_program(True, True, True, in_place=True)
def add_product(setting: Setting, theta: Array, rows1: Array, rows2: Array) -> Array:
    """Adds the products of the rows of two tiles."""
    return theta + setting.product("nk,mk->nm", rows1, setting.gathered(rows2))


@_program(True, True, in_place=True)
def add_squares(setting: Setting, diagonal: Array, rows: Array) -> Array:
    """Adds the product of every row with itself."""
    return diagonal + jnp.square(rows.astype(diagonal.dtype)).sum(1)


@_program(True, True, True, in_place=True)
def add_pairs(
    setting: Setting, step: LayerPairs, theta: Array, factor1: Factor, factor2: Factor
) -> Array:
    """Adds the contribution that a pair route computes from the factors of two tiles."""
    factor2, workspace = setting.gathered(factor2), setting.limits.pair_workspace
    return theta + step.theta(factor1, factor2, setting.product, workspace)


@_program(True, True, in_place=True)
def add_own_pairs(setting: Setting, step: LayerPairs, diagonal: Array, factor: Factor) -> Array:
    """Adds the same contribution for the pair of every sample with itself."""
    return diagonal + step.diagonal(factor, setting.product, setting.limits.pair_workspace)


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def assemble(
    setting: Setting, tiles: tuple[tuple[Array, ...], ...], num_rows: int, num_columns: int
) -> Array:
    """Assembles a block of the kernel without padding; its columns stay shared if possible."""
    return setting.by_columns(jnp.block([list(row) for row in tiles])[:num_rows, :num_columns])


@functools.partial(jax.jit, static_argnums=0)
def assemble_padded(
    setting: Setting, tiles: tuple[tuple[Array, ...], ...], num_rows: Array, num_columns: Array
) -> Array:
    """Assembles a block of the kernel with padding, which becomes zero."""
    block = jnp.block([list(row) for row in tiles])
    rows, columns = (jnp.arange(size) for size in block.shape)
    valid = (rows < num_rows)[:, None] & (columns < num_columns)[None]
    return setting.by_columns(jnp.where(valid, block, 0))


@functools.partial(jax.jit, static_argnums=1)
def join(tiles: tuple[Array, ...], size: int) -> Array:
    """Joins the tiles of a diagonal."""
    return jnp.concatenate(tiles)[:size]
