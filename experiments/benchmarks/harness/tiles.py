"""Searches for the tile with which a contestant is fastest, before the race."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from . import race, timing

WHOLE = sys.maxsize


@dataclasses.dataclass(frozen=True)
class Tile:
    """A number of examples that are taken at a time, and the times measured with it.

    Attributes:
      size: the number of examples.
      expected: the expected seconds for all N examples.
      compiling: the seconds by which the first call exceeded the second.
    """

    size: int
    expected: float
    compiling: float


def best_tile(
    kernel: Callable[[int, int], Any], sizes: Iterable[int], num_all: int, power: int = 2
) -> Tile:
    """Finds the tile for which the whole kernel should be fastest, from times of single tiles.

    Args:
      kernel: ``kernel(tile, num_examples)`` forms the kernel of some examples in tiles.
      sizes: the tiles to try.
      num_all: N.
      power: the whole kernel takes ``(num_all / tile) ** power`` times as long as one tile.
    """
    tried = []
    for size in sizes:
        call = functools.partial(kernel, size, size)
        first, second = timing.timed(call)[0], timing.timed(call)[0]
        tried.append(Tile(size, second * (num_all / size) ** power, max(0.0, first - second)))
    return min(tried, key=lambda tile: tile.expected)


def searched(
    kernel: Callable[[int, int], Any],
    sizes: Iterable[int],
    num_all: int,
    limit: float,
    power: int = 2,
) -> race.Contestant:
    """Makes a contestant with its best tile, on as many examples as ``limit`` seconds allow."""
    tile = best_tile(kernel, sizes, num_all, power)
    num_examples = num_all
    if tile.expected > limit:
        num_tiles = int(num_all / tile.size * (limit / tile.expected) ** (1 / power))
        num_examples = tile.size * max(1, num_tiles)
    call = functools.partial(kernel, tile.size, num_examples)
    return race.Contestant(call, num_examples, power, tile.size, tile.compiling)


def candidates(
    num_all: int, wanted: Iterable[int], row_bytes: int, memory_budget: int
) -> list[int]:
    """Lists tiles close to the wanted ones that divide N and whose Jacobians fit into memory.

    A tile needs two Jacobians at a time, but a tile of all N examples needs only one.

    Args:
      num_all: N.
      wanted: the wanted tiles; ``WHOLE`` is a tile of all N examples.
      row_bytes: bytes of a row of the Jacobian.
      memory_budget: bytes for the Jacobians.
    """
    divisors = [d for d in range(1, num_all + 1) if num_all % d == 0]
    nearest = sorted({max(d for d in divisors if d <= size) for size in wanted})
    return [d for d in nearest if row_bytes * (d if d == num_all else 2 * d) <= memory_budget]
