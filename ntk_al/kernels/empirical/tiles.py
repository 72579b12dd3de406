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
    """A set of samples in equal tiles; the end of the last one may be padding."""

    count: int
    size: int

    @property
    def num_samples(self) -> int:
        """Samples in all tiles, with padding."""
        return self.count * self.size

    def tiles(self, of_set: int) -> list[Tile]:
        """The tiles, where ``of_set`` is the number of the set."""
        return [Tile(of_set, number) for number in range(self.count)]

    def split(self, x: ArrayLike) -> list[ArrayLike]:
        """The samples of each tile; padding repeats the last one, which the network can take."""
        tiles = [x[i * self.size : (i + 1) * self.size] for i in range(self.count)]
        missing = self.size - len(tiles[-1])
        if missing:
            filler = jnp.broadcast_to(x[-1:], (missing, *x.shape[1:]))
            tiles[-1] = jnp.concatenate([jnp.asarray(tiles[-1]), filler])
        return tiles


def choose_tiling(num_samples: int, limits: Limits, devices: int) -> Tiling:
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
    return Tiling(count, size(count))


@dataclasses.dataclass(frozen=True)
class TiledKernel:
    """The kernel of some sets of samples, while the parts of all layers are added up.

    Attributes:
      pairs: Θ of the samples of two tiles, ``[N1, N2]``; of two blocks that are transposes of each
        other, only one is here.
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

    def pair(self, i: Tile, j: Tile) -> Array:
        """Θ of two tiles, which may be that of the tiles exchanged."""
        return self.pairs[i, j] if (i, j) in self.pairs else self.pairs[j, i].T
