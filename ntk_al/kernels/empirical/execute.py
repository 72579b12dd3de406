"""Carries out a plan: records the factors of every sample once, and multiplies pairs of tiles.

Everything is driven from Python in a few small compiled programs of fixed shapes. In one large
program XLA would keep all temporaries at once, and in a loop primitive convolutions run an order of
magnitude slower on CPUs. On a mesh every program is a ``shard_map``: each device holds its share of
the samples of every tile, and gathers the other side of a product.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ntk_al._utils import checks, sharding
from ntk_al._utils.sharding import MESH_AXIS
from ntk_al.kernels.empirical import capture, routes
from ntk_al.kernels.empirical.capture import Factors
from ntk_al.kernels.empirical.plan import CPU, Demand, Group, Limits, Step, make_plan
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.network import Network
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, ArrayLike, PyTree

Kept = tuple[PyTree, ...]
"""For each step of a group the rows ``[N, size]``, or its layer's factors, of a tile's samples."""

SetTile = tuple[int, int]
"""The number of a set, and of one of its tiles."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What every program of a plan depends on; hashable, so that each is compiled once."""

    readout: str
    product: Product
    limits: Limits
    mesh: Mesh | None

    @property
    def num_devices(self) -> int:
        """Devices that share each tile."""
        return self.mesh.size if self.mesh else 1

    def place(self, x: ArrayLike) -> Array:
        """The samples of a tile on the devices that share them."""
        if self.mesh is None:
            return jnp.asarray(x)
        return sharding.share(self.mesh, x)

    def zeros(self, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
        """Zeros, shared along the first axis."""
        device = NamedSharding(self.mesh, P(MESH_AXIS)) if self.mesh else None
        return jnp.zeros(shape, dtype, device=device)


def kernel_blocks(
    network: Network,
    sets: tuple[ArrayLike, ...],
    pairs: tuple[tuple[int, int], ...],
    *,
    diagonals: tuple[int, ...] = (),
    readout: str,
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> tuple[list[Array], list[Array]]:
    """Blocks Θ(sets[i], sets[j]) for each pair (i, j), and the diagonals of Θ for some sets.

    Raises:
      ValueError: a budget that is too small; a kernel that is not finite, with the layer where that
        begins.
    """
    mesh = sharding.checked(mesh)
    layers, leaves = capture.survey(network, sets[0])
    product = Product(precision, jax.default_backend())
    dtypes = [leaf.dtype for leaf in jax.tree_util.tree_leaves(network.params)]
    dtype = jnp.promote_types(jnp.result_type(*dtypes), jnp.float32)
    demand = Demand(
        layers,
        leaves,
        tuple(len(x) for x in sets),
        pairs,
        product,
        example_bytes=sets[0][0].size * sets[0].dtype.itemsize,
        entry_bytes=dtype.itemsize,
        devices=mesh.size if mesh else 1,
    )
    plan = make_plan(demand, memory_budget)
    logging.getLogger(__name__).info("kernel plan: %s", plan)
    setting = Setting(readout, product, plan.limits, mesh)
    if mesh is not None:
        network = sharding.replicate(mesh, network)
    tiles = {
        (s, m): setting.place(tile)
        for s, x in enumerate(sets)
        for m, tile in enumerate(_tiles(x, *plan.tiles[s]))
    }
    counts = [count for count, _ in plan.tiles]
    theta = {
        ((a, m), (b, n)): setting.zeros((len(tiles[a, m]), len(tiles[b, n])), dtype)
        for a, b in pairs
        for m in range(counts[a])
        for n in range(m if a == b else 0, counts[b])
    }
    norms = {
        (s, m): setting.zeros((len(tiles[s, m]),), dtype)
        for s in diagonals
        for m in range(counts[s])
    }
    for group in plan.groups:
        kept = {key: _record(setting, network, x, group, plan.chunk) for key, x in tiles.items()}
        for number, step in enumerate(group.steps):
            of_step = {key: value[number] for key, value in kept.items()}
            _add_step(setting, step, of_step, theta, norms)
        del kept, of_step  # before the next group is recorded
    blocks = []
    for a, b in pairs:
        rows = []
        for m in range(counts[a]):
            keys = [((a, m), (b, n)) for n in range(counts[b])]
            rows.append(tuple(theta[key] if key in theta else theta[key[::-1]].T for key in keys))
        blocks.append(_assemble(setting, tuple(rows), (len(sets[a]), len(sets[b]))))
    diagonal = [
        jnp.concatenate([norms[s, m] for m in range(counts[s])])[: len(sets[s])] for s in diagonals
    ]
    if not checks.is_traced(blocks, diagonal) and not all(
        bool(jnp.isfinite(block).all()) for block in (*blocks, *diagonal)
    ):
        place = _first_not_finite(network, sets, readout)
        raise ValueError(f"the kernel is not finite{place}. {DIVERGED}")
    return blocks, diagonal


def _record(setting: Setting, network: Network, tile: Array, group: Group, chunk: int) -> Kept:
    """What is kept of the samples of one tile, recorded chunk by chunk."""
    size = len(tile) // setting.num_devices
    kept: Kept | None = None
    for start in range(0, size, chunk):
        x = tile if chunk >= size else _chunk(setting, chunk, tile, start)
        part = _keep(setting, group, _capture(setting, group, network, x))
        if chunk >= size:
            return part
        if kept is None:
            kept = jax.tree.map(
                lambda leaf: setting.zeros((len(tile), *leaf.shape[1:]), leaf.dtype), part
            )
        kept = _put(setting, kept, part, start)
    assert kept is not None
    return kept


def _add_step(
    setting: Setting,
    step: Step,
    kept: dict[SetTile, PyTree],
    theta: dict[tuple[SetTile, SetTile], Array],
    norms: dict[SetTile, Array],
) -> None:
    """Adds the part of one step to the tiles of the kernel and to its diagonals, in place."""
    if step.route != "rows":
        for (i, j), tile in theta.items():
            theta[i, j] = _add_pairs(setting, step, tile, kept[i], kept[j])
        for i in norms:
            norms[i] = _add_own_pairs(setting, step, norms[i], kept[i])
        return
    for window, start in step.parts():
        rows = kept
        if not step.keeps_rows:
            rows = {
                i: _part_of_rows(setting, step, factor, window, start) for i, factor in kept.items()
            }
        for (i, j), tile in theta.items():
            theta[i, j] = _add_product(setting, tile, rows[i], rows[j])
        for i in norms:
            norms[i] = _add_squares(setting, norms[i], rows[i])


def _shared(setting: Setting, function: Callable[..., Any], *is_shared: bool) -> Callable[..., Any]:
    """``function`` on each device's share of those arguments that are marked as shared."""
    if setting.mesh is None:
        return function
    specs = tuple(P(MESH_AXIS) if shared else P() for shared in is_shared)
    return jax.shard_map(
        function, mesh=setting.mesh, in_specs=specs, out_specs=P(MESH_AXIS), check_vma=False
    )


def _gathered(setting: Setting, tree: PyTree) -> PyTree:
    """All samples of a tile, on every device."""
    if setting.mesh is None:
        return tree
    return jax.tree.map(lambda a: jax.lax.all_gather(a, MESH_AXIS, tiled=True), tree)


@functools.partial(jax.jit, static_argnames=("setting", "size"))
def _chunk(setting: Setting, size: int, tile: Array, start: Array) -> Array:
    """A part of a tile, ``size`` samples on every device."""

    def local(tile: Array, start: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(tile, start, size)

    result: Array = _shared(setting, local, True, False)(tile, start)
    return result


# These two take a chunk and not its tile: they compile longest, and so they do it once.
@functools.partial(jax.jit, static_argnames=("setting", "group"))
def _capture(setting: Setting, group: Group, network: Network, x: Array) -> Factors:
    """The factors of a chunk."""

    def local(network: Network, x: Array) -> Factors:
        return capture.capture(network, x, group.layers, group.leaves, setting.readout)

    factors: Factors = _shared(setting, local, False, True)(network, x)
    return factors


@functools.partial(jax.jit, static_argnames=("setting", "group"))
def _keep(setting: Setting, group: Group, factors: Factors) -> Kept:
    """What is kept of the factors of a chunk."""

    def local(factors: Factors) -> Kept:
        of_layers = iter(zip(factors.inputs, factors.gradients, strict=True))
        kept: list[PyTree] = []
        for step in group.steps:
            if step.layer is None:
                kept.append(setting.product.round(jnp.concatenate(factors.leaves, 1)))
                continue
            factor: PyTree = next(of_layers)
            if step.keeps_rows:
                workspace = setting.limits.workspace
                rows = routes.rows(step.layer, factor, setting.product, workspace)
                factor = setting.product.round(rows)
            kept.append(factor)
        return tuple(kept)

    result: Kept = _shared(setting, local, True)(factors)
    return result


@functools.partial(jax.jit, static_argnames="setting", donate_argnames="kept")
def _put(setting: Setting, kept: Kept, part: Kept, start: Array) -> Kept:
    """Puts a chunk into its tile, in place."""

    def local(kept: Kept, part: Kept, start: Array) -> PyTree:
        return jax.tree.map(
            lambda whole, p: jax.lax.dynamic_update_slice_in_dim(whole, p, start, 0), kept, part
        )

    result: Kept = _shared(setting, local, True, True, False)(kept, part, start)
    return result


@functools.partial(jax.jit, static_argnames=("setting", "step"))
def _part_of_rows(
    setting: Setting, step: Step, factor: PyTree, window: Array, start: Array
) -> Array:
    """The rows of a tile in one window, from output channel ``start`` on."""

    def local(factor: PyTree, window: Array, start: Array) -> Array:
        assert step.layer is not None
        rows = routes.window_rows(step.layer, factor, window, start, step.columns, setting.product)
        return setting.product.round(rows)

    result: Array = _shared(setting, local, True, False, False)(factor, window, start)
    return result


@functools.partial(jax.jit, static_argnames="setting", donate_argnames="theta")
def _add_product(setting: Setting, theta: Array, rows1: Array, rows2: Array) -> Array:
    def local(theta: Array, rows1: Array, rows2: Array) -> Array:
        return theta + setting.product("nk,mk->nm", rows1, _gathered(setting, rows2))

    result: Array = _shared(setting, local, True, True, True)(theta, rows1, rows2)
    return result


@functools.partial(jax.jit, static_argnames="setting", donate_argnames="norms")
def _add_squares(setting: Setting, norms: Array, rows: Array) -> Array:
    return norms + jnp.square(rows.astype(norms.dtype)).sum(1)


@functools.partial(jax.jit, static_argnames=("setting", "step"), donate_argnames="theta")
def _add_pairs(
    setting: Setting, step: Step, theta: Array, factor1: PyTree, factor2: PyTree
) -> Array:
    """Adds what a pair route makes of the factors of two tiles."""

    def local(theta: Array, factor1: PyTree, factor2: PyTree) -> Array:
        assert step.layer is not None
        route, workspace = routes.PAIR_ROUTES[step.route], setting.limits.pair_workspace
        factor2 = _gathered(setting, factor2)
        return theta + route(step.layer, factor1, factor2, setting.product, workspace)

    result: Array = _shared(setting, local, True, True, True)(theta, factor1, factor2)
    return result


@functools.partial(jax.jit, static_argnames=("setting", "step"), donate_argnames="norms")
def _add_own_pairs(setting: Setting, step: Step, norms: Array, factor: PyTree) -> Array:
    """The same for the pair of every sample with itself."""

    def of_sample(factor: PyTree) -> Array:
        assert step.layer is not None
        one, workspace = jax.tree.map(lambda a: a[None], factor), setting.limits.pair_workspace
        return routes.unfolded(step.layer, one, one, setting.product, workspace)[0, 0]

    def local(norms: Array, factor: PyTree) -> Array:
        return norms + jax.vmap(of_sample)(factor)

    result: Array = _shared(setting, local, True, True)(norms, factor)
    return result


@functools.partial(jax.jit, static_argnames=("setting", "shape"))
def _assemble(
    setting: Setting, tiles: tuple[tuple[Array, ...], ...], shape: tuple[int, int]
) -> Array:
    """A block of the kernel without padding; its columns stay shared where they can be."""
    block = jnp.block([list(row) for row in tiles])[: shape[0], : shape[1]]
    if setting.mesh is None:
        return block
    spec = P(None, MESH_AXIS) if shape[1] % setting.mesh.size == 0 else P()
    return jax.lax.with_sharding_constraint(block, NamedSharding(setting.mesh, spec))


def _tiles(x: ArrayLike, count: int, size: int) -> list[ArrayLike]:
    """Tiles of one shape; the last samples are repeats of the last real one."""
    tiles = [x[i * size : (i + 1) * size] for i in range(count)]
    missing = size - len(tiles[-1])
    if missing:
        filler = jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))
        tiles[-1] = jnp.concatenate([jnp.asarray(tiles[-1]), filler])
    return tiles


def _first_not_finite(network: Network, sets: tuple[ArrayLike, ...], readout: str) -> str:
    """Names the layer where numbers stop being finite: a diagnosis, made only after a failure."""
    layers, leaves = capture.survey(network, sets[0])
    record = jax.jit(capture.capture, static_argnums=(2, 3, 4))
    for x in sets:
        for start in range(0, len(x), CPU.chunk):
            chunk = jnp.asarray(x[start : start + CPU.chunk])
            factors = record(network, chunk, layers, leaves, readout)
            named = [
                *(
                    (f"the input of layer {'/'.join(layer.path[:-1])}", f)
                    for layer, f in zip(layers, factors.inputs, strict=True)
                ),
                *(
                    (f"the gradient of layer {'/'.join(layer.path[:-1])}", f)
                    for layer, f in zip(layers, factors.gradients, strict=True)
                ),
                *(
                    (f"the gradient of parameter {'/'.join(leaf.path)}", f)
                    for leaf, f in zip(leaves, factors.leaves, strict=True)
                ),
            ]
            for name, arrays in named:
                if not all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(arrays)):
                    return f", beginning with {name}"
    return ""
