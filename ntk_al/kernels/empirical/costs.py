"""The memory of the programs that cannot be predicted well: estimated first, then known from XLA.

What a backward pass takes depends on everything in the network, and what the product of two tiles
takes on what XLA fuses and copies. An estimate can be wrong by half, but XLA says what a program
takes as soon as it is compiled. The engine compiles the programs of its plan anyway, so it may as
well do so before it begins.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable

from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.limits import Limits
from ntk_al.kernels.empirical.steps import Group, LayerPairs, Reducing, Work

_ACTIVATIONS = 1.2  # temporaries of a pass, as a multiple of the factors of all layers
_FLOAT32_BYTES = 4  # layers compute in float32
_ROUNDS = 8  # of learning, after which estimates of what is not known become more cautious
_MORE_CAUTIOUS = 1.1


@dataclasses.dataclass(frozen=True)
class Pass:
    """A pass through the network: records samples and reduces them to what a group keeps.

    Attributes:
      group: the steps that share the pass.
      num: the number of samples on each device.
    """

    group: Group
    num: int


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The products of the factors of two tiles.

    Attributes:
      step: the step whose factors they are.
      work: says how large the tiles are.
    """

    step: LayerPairs
    work: Work


Program = Pass | Pairs
Measure = Callable[[Limits, Program], int | None]
"""Finds out the bytes that a program takes on each device, besides what was there before.

Of a pass, what it returns counts, too. The result is ``None`` where XLA does not tell."""


class Costs:
    """The bytes that programs take on each device."""

    def __init__(self, demand: Demand, measure: Measure | None = None) -> None:
        """Begins with estimates; ``measure`` replaces them in ``learn``."""
        self._demand = demand
        self._measure = measure
        self._known: dict[Program, int] = {}
        self._caution: dict[type, float] = {}
        self._rounds = 0
        self._all_factors = sum(layer.num_factor_entries for layer in demand.layers)
        self._weights = sum(layer.num_parameters for layer in demand.layers)

    def of(self, program: Program) -> int:
        """Returns the bytes of a program, as known or as estimated in the light of what is."""
        known = self._known.get(program)
        if known is not None:
            return known
        return math.ceil(self._caution.get(type(program), 1.0) * self._estimate(program))

    def learn(self, limits: Limits, programs: Iterable[Program]) -> bool:
        """Finds out what the programs of a plan take.

        Returns:
          Whether anything was not known before.
        """
        unknown = [program for program in dict.fromkeys(programs) if program not in self._known]
        ratios: dict[type, list[float]] = {}
        for program in unknown:
            measured = self._measure(limits, program) if self._measure else None
            of_kind = ratios.setdefault(type(program), [])
            if measured is None:
                measured = self.of(program)
            of_kind.append(measured / self._estimate(program))
            self._known[program] = measured
        for kind, of_kind in ratios.items():
            self._caution[kind] = max([*of_kind, self._caution.get(kind, 0.0)])
        self._rounds += 1
        if self._rounds > _ROUNDS:
            self._caution = {kind: _MORE_CAUTIOUS * c for kind, c in self._caution.items()}
        return bool(unknown)

    def _estimate(self, program: Program) -> float:
        if isinstance(program, Pairs):
            return program.step.product_bytes(program.work)
        steps, num = program.group.steps, program.num
        recorded = sum(layer.num_factor_entries for layer in program.group.layers)
        recorded += sum(leaf.size for leaf in program.group.leaves)
        reduced = sum(
            step.kept_bytes(self._demand.product, self._demand.entry_bytes)
            for step in steps
            if isinstance(step, Reducing)
        )
        recording = num * _FLOAT32_BYTES * (recorded + _ACTIVATIONS * self._all_factors)
        reducing = num * (_FLOAT32_BYTES * recorded + 2 * reduced)
        return max(recording + _FLOAT32_BYTES * self._weights, reducing)
