"""Sets of samples, and the kernel of their pairs, cut into tiles of a few fixed shapes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from ntk_al.kernels.empirical.limits import Limits
from ntk_al.types import Array, ArrayLike

_MOST_TILES = 16  # for one set of samples: products of small tiles are slow
_MANY_UNITS = 4  # a single tile of more units than this is measured in units twice as large


class Tile(NamedTuple):
    """One tile of one set of samples, by their numbers."""

    of_set: int
    number: int


@dataclasses.dataclass(frozen=True)
class Tiling:
    """A set of samples in equal tiles; the end of the last one may be padding.

    Attributes:
      of_set: the number of the set.
      num_samples: samples of the set, N.
      count: how many tiles there are.
      size: samples in a tile.
    """

    of_set: int
    num_samples: int
    count: int
    size: int

    @property
    def num_padded(self) -> int:
        """Samples in all tiles, with padding."""
        return self.count * self.size

    @property
    def tiles(self) -> list[Tile]:
        """Its tiles in order."""
        return [Tile(self.of_set, number) for number in range(self.count)]

    def split(self, x: ArrayLike) -> dict[Tile, ArrayLike]:
        """The samples of each tile; padding repeats the last one, which the network can take."""
        parts = [x[i * self.size : (i + 1) * self.size] for i in range(self.count)]
        missing = self.size - len(parts[-1])
        if missing:
            filler = jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))
            parts[-1] = jnp.concatenate([jnp.asarray(parts[-1]), filler])
        return dict(zip(self.tiles, parts, strict=True))


def choose_tiling(of_set: int, num_samples: int, limits: Limits, devices: int) -> Tiling:
    """The tiling of a set with the least work; sizes suit whole chunks on every device.

    Of n tiles of a symmetric block n(n + 1)/2 are computed: more tiles save work, unless more of
    their samples are padding.
    """

    def size(count: int) -> int:
        share = math.ceil(num_samples / count / devices)
        unit = min(limits.chunk, 2 ** math.ceil(math.log2(share)))
        if count == 1 and share > _MANY_UNITS * unit:
            unit *= 2  # fewer different sizes, as a labeled set grows: each compiles anew
        return devices * unit * math.ceil(share / unit)

    counts = range(1, min(_MOST_TILES, math.ceil(num_samples / limits.tile)) + 1)
    count = min(counts, key=lambda count: count * (count + 1) * size(count) ** 2)
    return Tiling(of_set, num_samples, count, size(count))


@dataclasses.dataclass(frozen=True)
class TiledKernel:
    """The kernel of some sets of samples, while the parts of all layers are added up.

    Attributes:
      pairs: Θ of the samples of two tiles, ``[N1, N2]``; of a symmetric block, only those on and
        above its diagonal.
      diagonals: Θ of every sample of a tile with itself, ``[N]``.
    """

    pairs: dict[tuple[Tile, Tile], Array]
    diagonals: dict[Tile, Array]

    def map(
        self,
        of_pair: Callable[[Array, Tile, Tile], Array],
        of_diagonal: Callable[[Array, Tile], Array],
    ) -> TiledKernel:
        """The kernel in which each array is replaced by a function of it and of its tiles."""
        return TiledKernel(
            {(i, j): of_pair(theta, i, j) for (i, j), theta in self.pairs.items()},
            {i: of_diagonal(theta, i) for i, theta in self.diagonals.items()},
        )

    def block(self, rows: Tiling, columns: Tiling) -> tuple[tuple[Array, ...], ...]:
        """The tiles of the block of two sets, row by row."""
        return tuple(tuple(self._pair(i, j) for j in columns.tiles) for i in rows.tiles)

    def diagonal(self, tiling: Tiling) -> Array:
        """Θ of every sample of a set with itself, ``[N]``."""
        return jnp.concatenate([self.diagonals[i] for i in tiling.tiles])[: tiling.num_samples]

    def _pair(self, i: Tile, j: Tile) -> Array:
        return self.pairs[i, j] if (i, j) in self.pairs else self.pairs[j, i].T
