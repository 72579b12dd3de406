"""Plans how a Gram matrix fits into memory, before anything is computed.

For every sample and layer, the smaller of the layer's rows and its factors is kept, see ``steps``.
If that is too much for all layers at once, they are divided into groups, and each group takes one
pass through the network. What a plan takes follows from shapes (``phases``), but for the programs
that only XLA knows (``costs``). A plan that rests on estimates is therefore made again, with what
XLA says about its programs, until nothing in it is estimated.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Sequence

from ntk_al._utils import checks, memory
from ntk_al.kernels.empirical import routes
from ntk_al.kernels.empirical.costs import Costs, Measure
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.factors import Layer
from ntk_al.kernels.empirical.limits import ACCELERATOR, CPU, Limits
from ntk_al.kernels.empirical.phases import Phases
from ntk_al.kernels.empirical.steps import (
    Group,
    LayerPairs,
    LayerParts,
    LayerRows,
    LeafRows,
    Step,
)
from ntk_al.kernels.empirical.tiles import Tiling, choose_tiling

_PLENTY = 2  # if the budget is that many times the peak, programs may queue up
_SHARE_OF_ROWS = 1 / 32  # share of the budget for a part of the rows of all tiles
_SHARE_OF_PAIRS = 1 / 16  # share of the budget for the T×T matrices of pairs
_NEAR_MISS = 1.5  # a larger budget is asked for only if estimates show more than that
_NEXT_BUDGET = 1.05  # ratio of successive budgets when searching for one that is enough


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the kernel of some sets of samples is computed.

    Attributes:
      groups: the steps of each pass through the network.
      tilings: the tiles of each set.
      chunk: the number of samples in one pass, on each device.
      limits: the limits of the device.
      peak_bytes: the predicted peak of allocated memory, see ``phases``.
      in_turn: whether each program must wait for the one before. The arrays of programs that are
        queued are allocated already, which a small budget does not allow.
    """

    groups: tuple[Group, ...]
    tilings: tuple[Tiling, ...]
    chunk: int
    limits: Limits
    peak_bytes: int
    in_turn: bool

    @property
    def num_runs(self) -> int:
        """The number of times that a pass runs, from beginning to end, to record all samples."""
        return len(self.groups) * sum(
            math.ceil(tiling.num_padded / self.chunk) for tiling in self.tilings
        )

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


def make_plan(
    demand: Demand, memory_budget: int | None = None, measure: Measure | None = None
) -> Plan:
    """Makes a plan for a demand.

    Args:
      demand: what has to be computed.
      memory_budget: bytes on each device; ``None`` allows most of the free memory.
      measure: finds out what a program takes; ``None`` means that estimates must do.

    Raises:
      BudgetError: if the budget is too small even for one layer at a time; the message says how
        much would be enough, and which size of evaluation set.
    """
    if memory_budget is None:
        memory_budget = memory.free()
    checks.positive("memory_budget", memory_budget)
    costs = Costs(demand, measure)
    known: tuple[Plan, Phases] | None = None
    while True:
        enough, plan, phases = _cheapest(memory_budget, demand, costs)
        if known is not None and known[0].num_runs <= plan.num_runs:
            kept = _with_peak(*known, memory_budget)
            if kept.peak_bytes <= memory_budget:
                return kept  # another one as good would have to be compiled, too
        if enough > _NEAR_MISS * memory_budget:
            break  # estimates are not that wrong
        if not costs.learn(plan.limits, phases.programs(plan.groups, plan.chunk)):
            if enough > memory_budget:
                break
            return plan
        known = plan, phases  # whose shares of the budget, and so whose programs, are its own
    raise BudgetError(
        f"the kernel of {' and '.join(map(str, demand.sizes))} samples needs about "
        f"{math.ceil(enough / 2**20)} MiB on each device, even with one layer at a time, but "
        f"the memory budget is {memory_budget / 2**20:.1f} MiB. Raise memory_budget, "
        f"{_smaller(memory_budget, demand, costs)}"
    )


def _cheapest(memory_budget: int, demand: Demand, costs: Costs) -> tuple[int, Plan, Phases]:
    """Makes a plan within the smallest budget that is enough, but not below the one given."""
    enough = float(memory_budget)
    while (found := _plan_within(int(enough), demand, costs)) is None:
        enough *= _NEXT_BUDGET
    return int(enough), *found


def _smaller(memory_budget: int, demand: Demand, costs: Costs) -> str:
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
        if _plan_within(memory_budget, smaller, costs) is not None:
            return (
                f"or measure changes at fewer points: with x_eval= a random sample of {num_eval} "
                "of the candidates it fits"
            )
    return f"or {fewer}"


def _plan_within(memory_budget: int, demand: Demand, costs: Costs) -> tuple[Plan, Phases] | None:
    """Makes a plan within a budget; ``None`` if it is too small even for one layer at a time."""
    limits = CPU if demand.product.backend == "cpu" else ACCELERATOR
    tilings = tuple(
        choose_tiling(of_set, size, limits, demand.devices, buckets=demand.buckets)
        for of_set, size in enumerate(demand.sizes)
    )
    limits = _within_budget(limits, memory_budget, tilings)
    tile = max(tiling.size for tiling in tilings) // demand.devices
    steps: list[Step] = [_step(layer, tile, limits, demand) for layer in demand.layers]
    if demand.leaves:
        steps.append(LeafRows(demand.leaves))

    phases = Phases(demand, tilings, costs, limits.pair_workspace)
    if phases.assembling > memory_budget:
        return None
    chunk = min(limits.chunk, tile)
    while any(phases.of_group([step], chunk) > memory_budget for step in steps):
        if chunk == 1:
            return None
        chunk //= 2
    groups = _grouped(steps, lambda group: phases.of_group(group, chunk) <= memory_budget)
    plan = Plan(groups, tilings, chunk, limits, peak_bytes=0, in_turn=False)
    return _with_peak(plan, phases, memory_budget), phases


def _with_peak(plan: Plan, phases: Phases, memory_budget: int) -> Plan:
    """Predicts the peak of a plan anew."""
    of_groups = (phases.of_group(group.steps, plan.chunk) for group in plan.groups)
    peak = max([phases.assembling, *of_groups])
    return dataclasses.replace(plan, peak_bytes=peak, in_turn=_PLENTY * peak > memory_budget)


def _within_budget(limits: Limits, memory_budget: int, tilings: Sequence[Tiling]) -> Limits:
    """Lowers the limits of a device to powers of two within their shares of the budget.

    Programs are compiled for their limits, and the memory that is free is never the same twice.
    """
    num_tiles = sum(tiling.count for tiling in tilings)
    of_rows = _power_of_two(int(memory_budget * _SHARE_OF_ROWS) // num_tiles)
    of_pairs = _power_of_two(int(memory_budget * _SHARE_OF_PAIRS))
    return dataclasses.replace(
        limits,
        rows=min(limits.rows, of_rows),
        pair_workspace=min(limits.pair_workspace, of_pairs),
    )


def _power_of_two(most: int) -> int:
    """The largest power of two up to a number, and at least 1."""
    return 1 << max(0, most.bit_length() - 1)


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


def _grouped(steps: Sequence[Step], fits: Callable[[Sequence[Step]], bool]) -> tuple[Group, ...]:
    """Groups consecutive steps as long as they fit together."""
    groups: list[list[Step]] = []
    for step in steps:
        if groups and fits([*groups[-1], step]):
            groups[-1].append(step)
        else:
            groups.append([step])
    return tuple(Group(tuple(group)) for group in groups)
