"""How a Gram matrix fits into memory: decided once, from shapes, before anything is computed.

What is kept of every sample, between the pass through the network and the products of pairs, is the
smaller of a layer's rows and its factors. Where that is too much for all layers at once, they are
taken in groups, with a pass through the network for each.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

from ntk_al._utils import checks, memory
from ntk_al.kernels.empirical import routes
from ntk_al.kernels.empirical.capture import Layer, Leaf
from ntk_al.kernels.empirical.rounding import Product

_MOST_TILES = 16  # for one set of samples: products of small tiles are slow


@dataclasses.dataclass(frozen=True)
class Limits:
    """What suits a kind of device.

    Attributes:
      chunk: samples in one pass through the network.
      tile: about the least number of samples in a tile of the Gram matrix; CPUs share the work of
        smaller products badly.
      workspace: bytes of patches at a time.
      pair_workspace: bytes of the T×T matrices of pairs at a time.
      rows: bytes of a part of rows at a time; on CPUs freshly mapped memory costs more than work.
    """

    chunk: int
    tile: int
    workspace: int
    pair_workspace: int
    rows: int


CPU = Limits(chunk=32, tile=384, workspace=2 * 2**20, pair_workspace=32 * 2**20, rows=16 * 2**20)
ACCELERATOR = Limits(chunk=256, tile=1024, workspace=2**29, pair_workspace=2**30, rows=2**29)


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer, or the leaves without a rule, in one group.

    Attributes:
      layer: the layer; ``None`` for the leaves.
      route: ``"rows"``, ``"unfolded"`` or ``"shifted"``.
      keeps_rows: whether rows are kept of every sample, and not factors.
      columns: output channels in a part of the rows, where they are formed from factors.
      floats: numbers kept of every sample.
    """

    layer: Layer | None
    route: str
    keeps_rows: bool
    columns: int
    floats: int

    def parts(self) -> list[tuple[int, int]]:
        """Window and first output channel of each part in which the rows are multiplied."""
        if self.layer is None or self.keeps_rows:
            return [(0, 0)]
        rule = self.layer.rules[0]
        _, _, _, c = routes.dimensions(self.layer)
        return list(itertools.product(range(rule.num_windows), range(0, c, self.columns)))


@dataclasses.dataclass(frozen=True)
class Group:
    """What one pass through the network records."""

    steps: tuple[Step, ...]
    leaves: tuple[Leaf, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of its steps."""
        return tuple(step.layer for step in self.steps if step.layer is not None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the kernel of some sets of samples is computed.

    Attributes:
      groups: what is recorded in each pass through the network.
      tiles: for each set, the numbers of samples in its tiles; the last tiles may be padded.
      chunk: samples in one pass.
      limits: of the device.
      peak_bytes: predicted peak of what is allocated.
    """

    groups: tuple[Group, ...]
    tiles: tuple[tuple[int, int], ...]
    chunk: int
    limits: Limits
    peak_bytes: int

    def __str__(self) -> str:
        used = [step.route for group in self.groups for step in group.steps if step.layer]
        counts = ", ".join(f"{used.count(route)} {route}" for route in dict.fromkeys(used))
        return (
            f"{len(self.groups)} pass(es) through the network in chunks of {self.chunk}, tiles "
            f"{', '.join(f'{n}x{size}' for n, size in self.tiles)}, layers: {counts or 'none'}; "
            f"predicted peak {self.peak_bytes / 2**20:.0f} MiB"
        )


@dataclasses.dataclass(frozen=True)
class Demand:
    """What is to be computed: blocks of the kernel of some sets of samples.

    Attributes:
      layers: those with a rule.
      leaves: parameters without one.
      sizes: number of samples of each set.
      pairs: which blocks are computed, as indices of two sets.
      product: its precision decides the size of stored rows.
      example_bytes: size of one input.
      entry_bytes: size of one entry of the kernel.
      devices: how many devices share each tile.
    """

    layers: tuple[Layer, ...]
    leaves: tuple[Leaf, ...]
    sizes: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    product: Product
    example_bytes: int
    entry_bytes: int = 4
    devices: int = 1


def make_plan(demand: Demand, memory_budget: int | None = None) -> Plan:
    """Plans how a demand is met.

    Args:
      demand: what is to be computed.
      memory_budget: bytes on each device; ``None`` means most of what is free.

    Raises:
      ValueError: not even one layer at a time fits the budget; the message says what would.
    """
    if memory_budget is None:
        memory_budget = memory.free()
    checks.positive("memory_budget", memory_budget)
    plan = _plan_within(memory_budget, demand)
    if plan is None:
        enough = float(memory_budget)
        while _plan_within(int(enough), demand) is None:
            enough *= 1.1
        raise ValueError(
            f"the kernel of {' and '.join(map(str, demand.sizes))} samples needs about "
            f"{math.ceil(enough / 2**20)} MiB on each device, even with one layer at a time, and "
            f"the memory budget is {memory_budget / 2**20:.1f} MiB. Raise memory_budget, or score "
            "fewer candidates or evaluation points"
        )
    return plan


def _plan_within(memory_budget: int, demand: Demand) -> Plan | None:
    """The plan for this budget; ``None`` if not even one layer at a time fits."""
    product, devices, entry_bytes = demand.product, demand.devices, demand.entry_bytes
    limits = CPU if product.backend == "cpu" else ACCELERATOR
    tiles = tuple(_tiles(n, limits, devices) for n in demand.sizes)
    # A part of rows is held for all tiles, in the dtype of the entries and as stored.
    num_tiles = sum(count for count, _ in tiles)
    limits = dataclasses.replace(
        limits,
        rows=min(limits.rows, memory_budget // (32 * num_tiles)),
        pair_workspace=min(limits.pair_workspace, memory_budget // 16),
    )
    samples = sum(n * size for n, size in tiles) // devices
    tile = max(size for _, size in tiles) // devices
    steps = [_step(layer, tile, product, limits, entry_bytes) for layer in demand.layers]
    direct = sum(leaf.size for leaf in demand.leaves)

    factor_floats = sum(_factor_floats(layer) for layer in demand.layers)
    largest_rows = max([_rows_floats(s.layer) for s in steps if s.layer and s.keeps_rows] or [0])
    # The next chunk is recorded while this one is still being reduced.
    per_sample = 4 * (6 * factor_floats + 2 * largest_rows + 2 * direct)
    kernel_bytes = sum(
        entry_bytes * tiles[i][0] * tiles[i][1] * tiles[j][0] * tiles[j][1] * (1.5 if i == j else 2)
        for i, j in demand.pairs
    )
    blocks = max([_block_bytes(s, samples, product, entry_bytes) for s in steps] or [0])
    fixed = int(kernel_bytes / devices) + samples * demand.example_bytes + blocks
    fixed += max([_pair_bytes(s, tile, limits) for s in steps] or [0])

    def kept(step: Step) -> int:
        size = product.stored_bytes(entry_bytes) if step.keeps_rows else 4
        return samples * size * step.floats

    if demand.leaves:
        steps.append(Step(None, "rows", True, 0, direct))
    largest = max([kept(step) for step in steps] or [0])
    chunk = min(limits.chunk, max(size for _, size in tiles) // devices)
    while chunk > 1 and fixed + largest + chunk * per_sample > memory_budget:
        chunk //= 2
    if fixed + largest + chunk * per_sample > memory_budget:
        return None
    groups: list[list[Step]] = [[]]
    available, used, peak = memory_budget - fixed - chunk * per_sample, 0, 0
    for step in steps:
        if groups[-1] and used + kept(step) > available:
            groups.append([])
            used = 0
        groups[-1].append(step)
        used += kept(step)
        peak = max(peak, used)
    return Plan(
        tuple(
            Group(tuple(group), demand.leaves if any(s.layer is None for s in group) else ())
            for group in groups
            if group  # none, for a network that does not depend on its parameters
        ),
        tiles,
        chunk,
        limits,
        fixed + chunk * per_sample + peak,
    )


def _tiles(num_samples: int, limits: Limits, devices: int) -> tuple[int, int]:
    """Number and size of the tiles of one set; sizes suit whole chunks on every device.

    Of n tiles of a symmetric block n(n + 1)/2 are computed: more tiles save work, unless more of
    their samples are padding.
    """

    def size(count: int) -> int:
        share = math.ceil(num_samples / count / devices)
        unit = min(limits.chunk, 2 ** math.ceil(math.log2(share)))
        if count == 1 and share > 4 * unit:
            unit *= 2  # fewer different sizes, as a labeled set grows: each compiles anew
        return devices * unit * math.ceil(share / unit)

    counts = range(1, min(_MOST_TILES, math.ceil(num_samples / limits.tile)) + 1)
    count = min(counts, key=lambda count: count * (count + 1) * size(count) ** 2)
    return count, size(count)


def _step(layer: Layer, tile: int, product: Product, limits: Limits, entry_bytes: int) -> Step:
    route = routes.cheapest(layer)
    rows, factors = _rows_floats(layer), _factor_floats(layer)
    if route == "rows" and (
        len(layer.rules) > 1 or rows * product.stored_bytes(entry_bytes) <= factors * entry_bytes
    ):
        return Step(layer, route, True, 0, rows)
    _, groups, k, c = routes.dimensions(layer)
    channel_bytes = tile * groups * (k // layer.rules[0].num_windows) * entry_bytes
    most = max(1, limits.rows // channel_bytes)
    columns = max(n for n in range(1, c + 1) if c % n == 0 and n <= most)
    return Step(layer, route, False, columns, factors)


def _rows_floats(layer: Layer) -> int:
    _, groups, k, c = routes.dimensions(layer)
    return groups * k * c


def _factor_floats(layer: Layer) -> int:
    return sum(math.prod(a.shape) for a in (*layer.inputs, *layer.outputs))


def _block_bytes(step: Step, samples: int, product: Product, entry_bytes: int) -> int:
    """Bytes of a part of the rows of all samples."""
    if step.layer is None or step.keeps_rows or step.route != "rows":
        return 0
    _, groups, k, _ = routes.dimensions(step.layer)
    width = groups * (k // step.layer.rules[0].num_windows) * step.columns
    return samples * width * (entry_bytes + product.stored_bytes(entry_bytes))


def _pair_bytes(step: Step, tile: int, limits: Limits) -> int:
    """Bytes of the T×T matrices of as many pairs of samples as are taken at a time."""
    if step.layer is None or step.route == "rows":
        return 0
    positions, groups, _, _ = routes.dimensions(step.layer)
    of_sample = 4 * 3 * positions**2 * groups * tile
    return max(of_sample, min(limits.pair_workspace, of_sample * tile))
