"""Plans how a Gram matrix fits into memory, from shapes alone, before anything is computed.

For every sample and layer, the smaller of the layer's rows and its factors is kept, see ``steps``.
If that is too much for all layers at once, they are divided into groups, and each group takes one
pass through the network.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from ntk_al._utils import checks, memory
from ntk_al.kernels.empirical import routes
from ntk_al.kernels.empirical.factors import Layer, Leaf
from ntk_al.kernels.empirical.limits import ACCELERATOR, CPU, Limits
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.steps import (
    Group,
    LayerPairs,
    LayerParts,
    LayerRows,
    LeafRows,
    Step,
)
from ntk_al.kernels.empirical.tiles import Tiling, choose_tiling

_CHUNKS_UNDER_WAY = 2  # one chunk is recorded while the previous one is still being reduced
_PASS_FACTORS = 3  # memory of a pass, as a multiple of the factors that it records
_PASS_BYTES = 4  # bytes per entry in a pass: layers compute in float32
_COPIES_OF_BLOCK = 2  # its tiles, and the block that is assembled from them
_COPIES_OF_SYMMETRIC_BLOCK = 1.5  # the same, but only half of its tiles are computed
_SHARE_OF_ROWS = 1 / 32  # share of the budget for a part of the rows of all tiles
_SHARE_OF_PAIRS = 1 / 16  # share of the budget for the T×T matrices of pairs
_NEXT_BUDGET = 1.1  # ratio of successive budgets when searching for one that is enough


@dataclasses.dataclass(frozen=True)
class Demand:
    """What has to be computed: blocks of the kernel between sets of samples.

    Attributes:
      layers: parameters with a rule.
      leaves: parameters without a rule.
      sizes: the number of samples in each set.
      pairs: the blocks to compute, as pairs of indices of sets.
      product: how entries are multiplied; its precision decides the size of stored rows.
      example_bytes: bytes of one input.
      entry_bytes: bytes of one entry of the kernel.
      devices: the number of devices that share each tile.
      buckets: whether the tiles of each set are powers of two, see ``choose_tiling``.
    """

    layers: tuple[Layer, ...]
    leaves: tuple[Leaf, ...]
    sizes: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    product: Product
    example_bytes: int
    entry_bytes: int = 4
    devices: int = 1
    buckets: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the kernel of some sets of samples is computed.

    Attributes:
      groups: the steps of each pass through the network.
      tilings: the tiles of each set.
      chunk: the number of samples in one pass, on each device.
      limits: the limits of the device.
      peak_bytes: the predicted peak of allocated memory.
    """

    groups: tuple[Group, ...]
    tilings: tuple[Tiling, ...]
    chunk: int
    limits: Limits
    peak_bytes: int

    def __str__(self) -> str:
        tiles = ", ".join(f"{tiling.count}x{tiling.size}" for tiling in self.tilings)
        used = collections.Counter(
            step.route if isinstance(step, LayerPairs) else "rows"
            for group in self.groups
            for step in group.steps
            if step.layers
        )
        counts = ", ".join(f"{number} {route}" for route, number in used.items())
        return (
            f"{len(self.groups)} pass(es) through the network in chunks of {self.chunk}, tiles "
            f"{tiles}, layers: {counts or 'none'}; "
            f"predicted peak {self.peak_bytes / 2**20:.0f} MiB"
        )


class BudgetError(ValueError):
    """Raised if a kernel does not fit into the memory budget, even with one layer at a time."""


def make_plan(demand: Demand, memory_budget: int | None = None) -> Plan:
    """Makes a plan for a demand.

    Args:
      demand: what has to be computed.
      memory_budget: bytes on each device; ``None`` allows most of the free memory.

    Raises:
      BudgetError: if the budget is too small even for one layer at a time; the message says how
        much would be enough, and which size of evaluation set.
    """
    if memory_budget is None:
        memory_budget = memory.free()
    checks.positive("memory_budget", memory_budget)
    plan = _plan_within(memory_budget, demand)
    if plan is None:
        enough = float(memory_budget)
        while _plan_within(int(enough), demand) is None:
            enough *= _NEXT_BUDGET
        raise BudgetError(
            f"the kernel of {' and '.join(map(str, demand.sizes))} samples needs about "
            f"{math.ceil(enough / 2**20)} MiB on each device, even with one layer at a time, but "
            f"the memory budget is {memory_budget / 2**20:.1f} MiB. Raise memory_budget, "
            f"{_smaller(memory_budget, demand)}"
        )
    return plan


def _smaller(memory_budget: int, demand: Demand) -> str:
    """Says how to ask for less, if possible with a size of the evaluation set that fits."""
    fewer = "score fewer candidates or evaluation points"
    if (1, 1) not in demand.pairs or len(demand.sizes) != 2:
        return f"or {fewer}"
    num_labeled, num_pool = demand.sizes
    for halvings in range(1, num_pool.bit_length()):
        num_eval = num_pool >> halvings
        smaller = dataclasses.replace(
            demand,
            sizes=(num_labeled, num_pool, num_eval),
            pairs=((0, 0), (0, 1), (0, 2), (2, 1)),
        )
        if _plan_within(memory_budget, smaller) is not None:
            return (
                f"or measure changes at fewer points: with x_eval= a random sample of {num_eval} "
                "of the candidates it fits"
            )
    return f"or {fewer}"


def _plan_within(memory_budget: int, demand: Demand) -> Plan | None:
    """Makes a plan within a budget; ``None`` if it is too small even for one layer at a time."""
    limits = CPU if demand.product.backend == "cpu" else ACCELERATOR
    tilings = tuple(
        choose_tiling(of_set, size, limits, demand.devices, buckets=demand.buckets)
        for of_set, size in enumerate(demand.sizes)
    )
    limits = _within_budget(limits, memory_budget, tilings)
    samples = sum(tiling.num_padded for tiling in tilings) // demand.devices
    tile = max(tiling.size for tiling in tilings) // demand.devices

    steps: list[Step] = [_step(layer, tile, limits, demand) for layer in demand.layers]
    if demand.leaves:
        steps.append(LeafRows(demand.leaves))
    kept = [samples * step.kept_bytes(demand.product, demand.entry_bytes) for step in steps]

    fixed = _kernel_bytes(tilings, demand) + samples * demand.example_bytes
    fixed += _product_bytes(steps, samples, tile, limits, demand)
    of_sample = _pass_bytes(steps, demand)
    chunk = min(limits.chunk, tile)
    while chunk > 1 and fixed + max(kept, default=0) + chunk * of_sample > memory_budget:
        chunk //= 2
    fixed += chunk * of_sample
    if fixed + max(kept, default=0) > memory_budget:
        return None
    groups, most_kept = _grouped(steps, kept, memory_budget - fixed)
    return Plan(groups, tilings, chunk, limits, fixed + most_kept)


def _within_budget(limits: Limits, memory_budget: int, tilings: Sequence[Tiling]) -> Limits:
    """Lowers the limits of a device to their shares of the budget."""
    num_tiles = sum(tiling.count for tiling in tilings)
    return dataclasses.replace(
        limits,
        rows=min(limits.rows, int(memory_budget * _SHARE_OF_ROWS) // num_tiles),
        pair_workspace=min(limits.pair_workspace, int(memory_budget * _SHARE_OF_PAIRS)),
    )


def _step(layer: Layer, tile: int, limits: Limits, demand: Demand) -> Step:
    """Chooses the cheapest step for a layer; it keeps the smaller of its rows and its factors."""
    route = routes.cheapest(layer)
    if route != "rows":
        return LayerPairs(layer, route)
    row_bytes = layer.num_parameters * demand.product.stored_bytes(demand.entry_bytes)
    factor_bytes = layer.num_factor_entries * demand.entry_bytes
    if len(layer.rules) > 1 or row_bytes <= factor_bytes:
        return LayerRows(layer)
    channel_bytes = tile * layer.num_groups * layer.window_size * demand.entry_bytes
    most = max(1, limits.rows // channel_bytes)
    divisors = [n for n in range(1, layer.num_channels + 1) if layer.num_channels % n == 0]
    return LayerParts(layer, columns=max(n for n in divisors if n <= most))


def _kernel_bytes(tilings: Sequence[Tiling], demand: Demand) -> int:
    """Computes the bytes that the blocks of the kernel take on each device."""
    entries = sum(
        tilings[i].num_padded
        * tilings[j].num_padded
        * (_COPIES_OF_SYMMETRIC_BLOCK if i == j else _COPIES_OF_BLOCK)
        for i, j in demand.pairs
    )
    return int(demand.entry_bytes * entries / demand.devices)


def _product_bytes(
    steps: Sequence[Step], samples: int, tile: int, limits: Limits, demand: Demand
) -> int:
    """Computes the bytes in use by products: parts of rows, and the T×T matrices of pairs."""
    parts = [
        samples * step.part_bytes(demand.product, demand.entry_bytes)
        for step in steps
        if isinstance(step, LayerParts)
    ]
    pairs = [
        step.pair_bytes(tile, limits.pair_workspace)
        for step in steps
        if isinstance(step, LayerPairs)
    ]
    return max(parts, default=0) + max(pairs, default=0)


def _pass_bytes(steps: Sequence[Step], demand: Demand) -> int:
    """Computes the bytes of each sample of a chunk, from the pass until only the kept part is left.

    They consist of the factors of all layers, the rows of one layer at a time, and the rows of the
    leaves.
    """
    factors = sum(layer.num_factor_entries for layer in demand.layers)
    rows = [step.layer.num_parameters for step in steps if isinstance(step, LayerRows)]
    leaves = sum(leaf.size for leaf in demand.leaves)
    entries = _PASS_FACTORS * factors + max(rows, default=0) + leaves
    return _PASS_BYTES * _CHUNKS_UNDER_WAY * entries


def _grouped(
    steps: Sequence[Step], kept: Sequence[int], available: int
) -> tuple[tuple[Group, ...], int]:
    """Groups consecutive steps whose kept bytes fit together; also returns the most of a group."""
    groups: list[list[Step]] = []
    used = most = 0
    for step, size in zip(steps, kept, strict=True):
        if not groups or used + size > available:
            groups.append([])
            used = 0
        groups[-1].append(step)
        used += size
        most = max(most, used)
    return tuple(Group(tuple(group)) for group in groups), most
