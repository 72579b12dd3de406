"""The memory that each phase of a plan takes, in bytes on each device.

All phases share the samples and the tiles of the kernel. Besides them, a group of steps first keeps
more and more of the samples, chunk by chunk, and then multiplies what it has kept. At the end, the
blocks of the kernel are assembled from their tiles.

What is counted is what the engine asks for while one program runs after the other: arrays that are
alive, and the temporaries of the program. The network, compilation, and freed pages that an
allocator keeps are not part of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

from ntk_al.kernels.empirical.costs import Costs, Pairs, Pass, Program
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.steps import Group, LayerPairs, Step, Work
from ntk_al.kernels.empirical.tiles import Tiling


@dataclasses.dataclass(frozen=True)
class Phases:
    """Predicts the memory of phases.

    Attributes:
      demand: what has to be computed.
      tilings: the tiles of each set.
      costs: what programs take.
      pair_workspace: see ``Limits``.
    """

    demand: Demand
    tilings: tuple[Tiling, ...]
    costs: Costs
    pair_workspace: int

    def of_group(self, steps: Sequence[Step], chunk: int) -> int:
        """Returns the most that a group of steps takes, if its pass has chunks of this size."""
        return self._held + max(self._recording(steps, chunk), self._multiplying(steps))

    def programs(self, groups: Iterable[Group], chunk: int) -> Iterator[Program]:
        """Yields the programs of these groups whose memory shapes do not tell."""
        for group in groups:
            for tiling in self.tilings:
                yield Pass(group, min(chunk, tiling.size // self.demand.devices))
            for step in group.steps:
                if isinstance(step, LayerPairs) and self.demand.pairs:
                    yield from (Pairs(step, work) for work in self._works)

    @functools.cached_property
    def assembling(self) -> int:
        """The most that is taken while blocks are assembled, one after the other."""
        most = finished = 0
        for i, j in self.demand.pairs:
            rows, columns = self.tilings[i], self.tilings[j]
            block = self._entries(rows.num_padded * columns.num_padded)
            mirrored = self._entries(rows.size**2 * rows.count * (rows.count - 1) // 2)
            copied = block if rows.count > 1 or columns.count > 1 else 0
            copied += block if self.demand.devices > 1 else 0  # rows become columns
            most = max(most, finished + block + copied + (mirrored if i == j else 0))
            finished += block
        return self._held + most

    @functools.cached_property
    def _held(self) -> int:
        """The samples, and the tiles of the kernel; a symmetric block has only some of them."""
        tiles = 0
        for i, j in self.demand.products:
            rows, columns = self.tilings[i], self.tilings[j]
            count = rows.count * (rows.count + 1) // 2 if i == j else rows.count * columns.count
            tiles += self._entries(count * rows.size * columns.size)
        return tiles + self._samples * (self.demand.example_bytes + self.demand.entry_bytes)

    def _recording(self, steps: Sequence[Step], chunk: int) -> int:
        """What is kept of the samples until now, and the pass of one more chunk."""
        of_sample = sum(self._kept_bytes(step) for step in steps)
        kept = most = 0
        for tiling in self.tilings:
            share = tiling.size // self.demand.devices
            num = min(chunk, share)
            kept += tiling.count * share * of_sample
            # Of a tile that is one chunk, the pass itself returns what is kept.
            before = kept - share * of_sample if num == share else kept
            of_chunk = self.costs.of(Pass(Group(tuple(steps)), num))
            of_chunk += num * self.demand.example_bytes if num < share else 0
            most = max(most, before + of_chunk)
        return most

    def _multiplying(self, steps: Sequence[Step]) -> int:
        """Everything that is kept of the samples, and the products of one step."""
        kept = self._samples * sum(self._kept_bytes(step) for step in steps)
        return kept + max(self._product_bytes(step) for step in steps)

    def _product_bytes(self, step: Step) -> int:
        if isinstance(step, LayerPairs):
            # The batches of smaller tiles may be larger.
            of_pairs = (self.costs.of(Pairs(step, work)) for work in self._works)
        else:
            of_pairs = (step.product_bytes(work) for work in self._works)
        return max(of_pairs)

    def _kept_bytes(self, step: Step) -> int:
        return step.kept_bytes(self.demand.product, self.demand.entry_bytes)

    def _entries(self, count: int) -> int:
        """The bytes of entries of the kernel, which the devices share."""
        return self.demand.entry_bytes * count // self.demand.devices

    @property
    def _samples(self) -> int:
        return sum(tiling.num_padded for tiling in self.tilings) // self.demand.devices

    @functools.cached_property
    def _works(self) -> list[Work]:
        """The pairs of tiles of different sizes; for a diagonal, each sample with itself."""
        sizes = {(self.tilings[i].size, self.tilings[j].size) for i, j in self.demand.products}
        sizes = sizes or {(tiling.size, 1) for tiling in self.tilings}
        return [
            Work(
                samples=self._samples,
                rows=rows // self.demand.devices,
                columns=columns,
                devices=self.demand.devices,
                product=self.demand.product,
                entry_bytes=self.demand.entry_bytes,
                workspace=self.pair_workspace,
            )
            for rows, columns in sorted(sizes)
        ]
