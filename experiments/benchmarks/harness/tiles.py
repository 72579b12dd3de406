"""The tile with which a contestant is fastest, searched for before the race."""

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
    """Examples taken at a time, and what was seen when they were tried.

    Attributes:
      size: how many.
      expected: seconds for all N examples.
      compiling: seconds of the first call over those of the second.
    """

    size: int
    expected: float
    compiling: float


def best_tile(
    kernel: Callable[[int, int], Any], sizes: Iterable[int], num_all: int, power: int = 2
) -> Tile:
    """The tile that makes the whole kernel soonest, from the time of a single one.

    Args:
      kernel: forms the kernel of so many examples (second argument) by tiles (first argument).
      sizes: tiles to try.
      num_all: N.
      power: seconds of a tile stand for ``(num_all / tile) ** power`` of them.
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
    """A contestant with its best tile, on as many examples as take at most ``limit`` seconds."""
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
    """Tiles near those wanted: they divide N, and their Jacobians fit the memory budget.

    A tile needs two Jacobians, but that of all N examples only one.

    Args:
      num_all: N.
      wanted: tiles; ``WHOLE`` is one of all N examples.
      row_bytes: of a row of the Jacobian.
      memory_budget: bytes.
    """
    divisors = [d for d in range(1, num_all + 1) if num_all % d == 0]
    nearest = sorted({max(d for d in divisors if d <= size) for size in wanted})
    return [d for d in nearest if row_bytes * (d if d == num_all else 2 * d) <= memory_budget]
