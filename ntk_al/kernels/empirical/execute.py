"""Carries out a plan: records the factors of every sample, and multiplies pairs of tiles.

Python drives a few small compiled programs of fixed shapes. In one large program, XLA would keep
all temporaries at once, and inside a loop primitive, convolutions run an order of magnitude slower
on CPUs.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ntk_al._utils import compat, examples, progress, sharding
from ntk_al._utils.progress import Advance
from ntk_al.kernels.empirical import finiteness, measure, programs
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.factors import Layer
from ntk_al.kernels.empirical.limits import Limits
from ntk_al.kernels.empirical.plan import Plan, make_plan
from ntk_al.kernels.empirical.programs import Kept, Setting
from ntk_al.kernels.empirical.rounding import Product, exact_passes
from ntk_al.kernels.empirical.steps import Group, LayerPairs, LayerParts, Reducing, Step
from ntk_al.kernels.empirical.survey import survey
from ntk_al.kernels.empirical.tiles import Tile, TiledKernel, Tiling
from ntk_al.network import Network, parameters
from ntk_al.types import Array, PyTree

_SINGLE = jnp.dtype(jnp.float32).itemsize


def kernel_blocks(
    network: Network,
    sets: tuple[PyTree, ...],
    pairs: tuple[tuple[int, int], ...],
    *,
    diagonals: tuple[int, ...] = (),
    readout: str,
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
    padded: bool = False,
    on_plan: Callable[[str], None] | None = None,
    log_level: int = logging.INFO,
) -> tuple[list[Array], list[Array]]:
    """Computes the blocks Θ(sets[i], sets[j]) for some pairs (i, j), and some diagonals.

    Args:
      network: the network.
      sets: sets of inputs, ``[N_i, ...]`` each.
      pairs: the pairs (i, j) of sets for which a block is computed.
      diagonals: the sets i for which the diagonal of Θ(sets[i], sets[i]) is computed.
      readout: a key of ``READOUTS``.
      precision: one of ``PRECISIONS``.
      memory_budget: bytes on each device; ``None`` allows most of the free memory.
      mesh: devices that share the work; ``None`` means one device.
      padded: keep the padding of the tiles, filled with zeros, and let their sizes be powers of
        two. Sets of similar sizes then need the same compiled programs.
      on_plan: called with the plan, in words.
      log_level: of the plan; lower where a kernel is one of many.

    Returns:
      The blocks ``[N_i, N_j]`` and the diagonals ``[N_i]``; longer if they are padded.

    Raises:
      ValueError: if the budget is too small, or the kernel is not finite; the message names the
        first layer that is not.
    """
    mesh = sharding.automatic(mesh)
    parameters.check_any(network)
    network, sets = parameters.widened(network, *sets)
    with exact_passes(precision):
        demand = _demand(
            network, sets, pairs, Product(precision, jax.default_backend()), mesh, padded
        )
        if mesh is not None:
            network = sharding.replicate(mesh, network)

        def with_limits(limits: Limits) -> Setting:
            return Setting(readout, demand.product, limits, mesh)

        asked = measure.with_xla(with_limits, network, sets[0], _dtype(network))
        plan = make_plan(demand, memory_budget, asked)
        setting = dataclasses.replace(with_limits(plan.limits), in_turn=plan.in_turn)
        logging.getLogger(__name__).log(log_level, "kernel plan: %s", plan)
        if on_plan is not None:
            on_plan(str(plan))
        samples = {
            tile: setting.place(of_tile)
            for tiling, x in zip(plan.tilings, sets, strict=True)
            for tile, of_tile in tiling.split(x).items()
        }
        tilings_of_pairs = [(plan.tilings[i], plan.tilings[j]) for i, j in pairs]
        tilings_of_products = [(plan.tilings[i], plan.tilings[j]) for i, j in demand.products]
        tilings_of_diagonals = [plan.tilings[i] for i in diagonals]
        kernel = _zero(setting, tilings_of_products, tilings_of_diagonals, _dtype(network))
        try:
            with progress.shown("kernel", _num_parts(setting, plan, kernel)) as advance:
                for group in plan.groups:
                    kernel = _add_group(setting, kernel, group, network, samples, plan, advance)
        except NotImplementedError as error:
            if mesh is None or compat.CONVOLUTIONS_ON_MESHES:
                raise
            raise ValueError(
                f"networks with convolutions need JAX 0.8 or later on several devices; this is JAX "
                f"{jax.__version__}. Update it, or leave mesh= out"
            ) from error
        assemble = programs.assemble_padded if padded else programs.assemble
        blocks = [
            sharding.settled(
                mesh,
                assemble(
                    setting, kernel.block(rows, columns), rows.num_samples, columns.num_samples
                ),
            )
            for rows, columns in tilings_of_pairs
        ]
        norms = [
            programs.join(
                kernel.diagonal(tiling), tiling.num_padded if padded else tiling.num_samples
            )
            for tiling in tilings_of_diagonals
        ]
        finiteness.check((*blocks, *norms), network, sets, readout)
    return blocks, norms


def _num_parts(setting: Setting, plan: Plan, kernel: TiledKernel) -> int:
    """The number of chunks and of products of tiles in all groups."""
    chunks = sum(
        math.ceil(min(tiling.size // setting.num_devices, tiling.num_valid(tile)) / plan.chunk)
        for tiling in plan.tilings
        for tile in tiling.tiles
    )
    products = sum(
        len(step.parts()) if isinstance(step, LayerParts) else 1
        for group in plan.groups
        for step in group.steps
    )
    return len(plan.groups) * chunks + products * (len(kernel.pairs) + len(kernel.diagonals))


def _dtype(network: Network) -> jnp.dtype:
    """The dtype of the kernel."""
    # Arrays and not their dtypes, because a Python float among the parameters has none of its own.
    return jnp.promote_types(jnp.result_type(*parameters.parameters(network)), jnp.float32)


def _demand(
    network: Network,
    sets: tuple[PyTree, ...],
    pairs: tuple[tuple[int, int], ...],
    product: Product,
    mesh: Mesh | None,
    buckets: bool,
) -> Demand:
    found = survey(network, sets[0])
    _warn_of_half_precision(found.layers)
    return Demand(
        found.layers,
        found.leaves,
        tuple(examples.count(x) for x in sets),
        pairs,
        product,
        example_bytes=examples.num_bytes(sets[0]),
        entry_bytes=_dtype(network).itemsize,
        devices=mesh.size if mesh else 1,
        buckets=buckets,
    )


def _warn_of_half_precision(layers: tuple[Layer, ...]) -> None:
    half = [layer for layer in layers if any(y.dtype.itemsize < _SINGLE for y in layer.outputs)]
    if half:
        dtype = jnp.dtype(half[0].outputs[0].dtype).name
        warnings.warn(
            f"the network computes in {dtype}, for example at {half[0].name}, so its gradients "
            "have only two or three digits and the kernel may be off by some percent. Build the "
            "same model with dtype=float32 for scores; its parameters can stay as they are",
            stacklevel=2,
        )


def _zero(
    setting: Setting,
    products: Sequence[tuple[Tiling, Tiling]],
    diagonals: Sequence[Tiling],
    dtype: jnp.dtype,
) -> TiledKernel:
    """The kernel before any layer is added."""
    return TiledKernel(
        {
            (i, j): setting.zeros((rows.size, columns.size), dtype)
            for rows, columns in products
            for i in rows.tiles
            for j in columns.tiles
            if rows != columns or i <= j
        },
        {i: setting.zeros((tiling.size,), dtype) for tiling in diagonals for i in tiling.tiles},
    )


def _add_group(
    setting: Setting,
    kernel: TiledKernel,
    group: Group,
    network: Network,
    samples: Mapping[Tile, PyTree],
    plan: Plan,
    advance: Advance,
) -> TiledKernel:
    """Adds the steps of a group; what it keeps of the samples is freed before the next group."""
    kept = {
        tile: _record(
            setting,
            group,
            network,
            x,
            plan.chunk,
            plan.tilings[tile.of_set].num_valid(tile),
            advance,
        )
        for tile, x in samples.items()
    }
    for number, step in enumerate(group.steps):
        of_step = {tile: of_group[number] for tile, of_group in kept.items()}
        kernel = _add_step(setting, kernel, step, of_step, advance)
    return kernel


def _record(
    setting: Setting,
    group: Group,
    network: Network,
    tile: PyTree,
    chunk: int,
    num_valid: int,
    advance: Advance,
) -> Kept:
    """Records the samples of one tile chunk by chunk, and returns what the steps keep of them.

    Chunks that are only padding are left out; what is kept of them is zero.
    """
    num = examples.count(tile)
    size = num // setting.num_devices
    if chunk >= size:
        whole = _record_chunk(setting, group, network, tile)
        advance(whole)
        return whole
    kept: Kept | None = None
    for start in range(0, min(size, num_valid), chunk):
        part = _record_chunk(
            setting, group, network, programs.chunk_of(setting, chunk, tile, start)
        )
        if kept is None:
            kept = programs.zeros_of_tile(setting, num, part)
        kept = programs.put(setting, kept, part, start)
        advance(kept)
        del part  # or it would live through the pass of the next chunk
    assert kept is not None
    return kept


def _record_chunk(setting: Setting, group: Group, network: Network, x: PyTree) -> Kept:
    """Records a chunk, and returns what the steps keep of it."""
    records = group.records(programs.record(setting, group, network, x))
    steps = group.reducing
    reduced = iter(programs.keep(setting, steps, group.reduced(records)) if steps else ())
    return tuple(
        next(reduced) if isinstance(step, Reducing) else of_step
        for step, of_step in zip(group.steps, records, strict=True)
    )


def _add_step(
    setting: Setting,
    kernel: TiledKernel,
    step: Step,
    kept: Mapping[Tile, PyTree],
    advance: Advance,
) -> TiledKernel:
    """Adds the contribution of one step to the kernel."""
    if isinstance(step, LayerPairs):
        return kernel.map(
            lambda theta, i, j: programs.add_pairs(setting, step, theta, kept[i], kept[j]),
            lambda diagonal, i: programs.add_own_pairs(setting, step, diagonal, kept[i]),
            advance,
        )
    if not isinstance(step, LayerParts):
        return _add_rows(setting, kernel, kept, advance)
    for window, start in step.parts():
        rows = {
            tile: programs.part_of_rows(setting, step, factor, window, start)
            for tile, factor in kept.items()
        }
        kernel = _add_rows(setting, kernel, rows, advance)
        del rows  # or they would live until the next part is complete
    return kernel


def _add_rows(
    setting: Setting, kernel: TiledKernel, rows: Mapping[Tile, Array], advance: Advance
) -> TiledKernel:
    return kernel.map(
        lambda theta, i, j: programs.add_product(setting, theta, rows[i], rows[j]),
        lambda diagonal, i: programs.add_squares(setting, diagonal, rows[i]),
        advance,
    )
