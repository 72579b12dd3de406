"""Sets of samples, and the kernel between them, cut into tiles of a few fixed shapes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

from ntk_al._utils import examples
from ntk_al._utils.batches import bucket
from ntk_al.kernels.empirical.limits import Limits
from ntk_al.types import Array, PyTree

_MOST_TILES = 16  # upper bound for one set of samples, because products of small tiles are slow
_MANY_UNITS = 4  # if a single tile exceeds this many units, the unit is doubled


class Tile(NamedTuple):
    """One tile of one set of samples.

    Attributes:
      of_set: the number of the set.
      number: the number of the tile in that set.
    """

    of_set: int
    number: int


@dataclasses.dataclass(frozen=True)
class Tiling:
    """A division of a set of samples into equal tiles; the last one may end with padding.

    Attributes:
      of_set: the number of the set.
      num_samples: N, the number of samples in the set.
      count: the number of tiles.
      size: the number of samples in a tile.
    """

    of_set: int
    num_samples: int
    count: int
    size: int

    @property
    def num_padded(self) -> int:
        """The number of samples in all tiles, including padding."""
        return self.count * self.size

    def num_valid(self, tile: Tile) -> int:
        """The number of samples in a tile, without padding."""
        return min(self.size, self.num_samples - tile.number * self.size)

    @property
    def tiles(self) -> list[Tile]:
        """All tiles in order."""
        return [Tile(self.of_set, number) for number in range(self.count)]

    def split(self, x: PyTree) -> dict[Tile, PyTree]:
        """Cuts samples ``[N, ...]`` into tiles; padding repeats the last sample, a valid input."""
        x = examples.on_host(x)
        starts = range(0, self.num_padded, self.size)
        parts = [examples.take(x, slice(start, start + self.size)) for start in starts]
        parts[-1] = examples.fill(parts[-1], self.size)
        return dict(zip(self.tiles, parts, strict=True))


def choose_tiling(
    of_set: int, num_samples: int, limits: Limits, devices: int, *, buckets: bool = False
) -> Tiling:
    """Chooses the tiling of a set that takes the least work.

    Of the n × n tiles of a symmetric block, n(n + 1)/2 are computed. More tiles therefore save
    work, unless they add padding. On every device, a tile consists of whole chunks.

    Args:
      of_set: the number of the set.
      num_samples: N.
      limits: the limits of the device.
      devices: the number of devices that share a tile.
      buckets: choose only among powers of two, so that a set that grows or shrinks a little keeps
        its tiling and nothing is compiled anew.
    """
    if buckets:
        return _choose_bucket(of_set, num_samples, limits, devices)

    def size(count: int) -> int:
        share = math.ceil(num_samples / count / devices)
        unit = min(limits.chunk, 2 ** math.ceil(math.log2(share)))
        if count == 1 and share > _MANY_UNITS * unit:
            unit *= 2  # a growing labeled set then needs fewer sizes, each of which compiles anew
        return devices * unit * math.ceil(share / unit)

    counts = range(1, min(_MOST_TILES, math.ceil(num_samples / limits.tile)) + 1)
    count = min(counts, key=lambda count: count * (count + 1) * size(count) ** 2)
    return Tiling(of_set, num_samples, count, size(count))


def _choose_bucket(of_set: int, num_samples: int, limits: Limits, devices: int) -> Tiling:
    share = math.ceil(num_samples / devices)
    largest = max(bucket(share), bucket(math.ceil(limits.smallest_bucket / devices)))
    smallest = min(largest, limits.bucket)
    sizes = [2**k for k in range(int(math.log2(smallest)), int(math.log2(largest)) + 1)]

    def count(size: int) -> int:
        return math.ceil(share / size)

    few = [size for size in sizes if count(size) <= _MOST_TILES]
    size = min(few, key=lambda size: count(size) * (count(size) + 1) * size**2)
    return Tiling(of_set, num_samples, count(size), devices * size)


@dataclasses.dataclass(frozen=True)
class TiledKernel:
    """The kernel between sets of samples, to which the parts of all layers are added.

    Attributes:
      pairs: for each pair of tiles, Θ between their samples, ``[N1, N2]``, or for the same tiles in
        the other order. A symmetric block has only the pairs on and above its diagonal.
      diagonals: for each tile, Θ of every sample with itself, ``[N]``.
    """

    pairs: dict[tuple[Tile, Tile], Array]
    diagonals: dict[Tile, Array]

    def map(
        self,
        of_pair: Callable[[Array, Tile, Tile], Array],
        of_diagonal: Callable[[Array, Tile], Array],
        after: Callable[[Array], None],
    ) -> TiledKernel:
        """Replaces each array by a function of it and of its tiles.

        Args:
          of_pair: maps Θ of two tiles, and these tiles.
          of_diagonal: maps the diagonal of a tile, and that tile.
          after: called with each new array.
        """
        pairs, diagonals = {}, {}
        for (i, j), theta in self.pairs.items():
            pairs[i, j] = of_pair(theta, i, j)
            after(pairs[i, j])
        for i, diagonal in self.diagonals.items():
            diagonals[i] = of_diagonal(diagonal, i)
            after(diagonals[i])
        return TiledKernel(pairs, diagonals)

    def block(self, rows: Tiling, columns: Tiling) -> tuple[tuple[Array, ...], ...]:
        """Returns the tiles of the block between two sets, row by row."""
        return tuple(tuple(self._pair(i, j) for j in columns.tiles) for i in rows.tiles)

    def diagonal(self, tiling: Tiling) -> tuple[Array, ...]:
        """Returns the tiles of the diagonal of a set."""
        return tuple(self.diagonals[i] for i in tiling.tiles)

    def _pair(self, i: Tile, j: Tile) -> Array:
        return self.pairs[i, j] if (i, j) in self.pairs else self.pairs[j, i].T
