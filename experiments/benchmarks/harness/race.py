"""A race between contestants that form the same kernel and must agree before they are timed.

A contestant that would take too long forms only a leading block of the kernel, and its time is
extrapolated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from . import agreement, timing


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way to form a kernel.

    Attributes:
      call: forms Θ(x, x) of the first ``num_examples`` inputs.
      num_examples: the number of inputs; fewer than N if all would take too long.
      power: the time grows with this power of ``num_examples``.
      tile: the best number of examples at a time; ``None`` if none was searched for.
      compiling: seconds of compilation, if the search for a tile has compiled the call; ``None``
        means that the first call of the race shows them.
    """

    call: Callable[[], Any]
    num_examples: int
    power: int = 2
    tile: int | None = None
    compiling: float | None = None

    def scale(self, num_all: int) -> float:
        """Returns the factor that extrapolates the time to all N examples."""
        return float(num_all / self.num_examples) ** self.power

    def note(self, num_all: int) -> str:
        """Describes the tile, and whether the time is extrapolated."""
        notes = [] if self.tile is None else [f"tile {self.tile}"]
        if self.num_examples < num_all:
            notes.append(f"EXTRAPOLATED from N={self.num_examples}")
        return ", ".join(notes)


def run(
    contestants: Mapping[str, Contestant],
    *,
    reference: str,
    num_all: int,
    rounds: int,
    baselines: Mapping[str, Callable[[], Any]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """Checks that all contestants agree, then times them in turn.

    Args:
      contestants: the contestants by name.
      reference: the name of the contestant with which all must agree; it forms the whole kernel.
      num_all: N; reported times are for all N examples.
      rounds: the number of rounds after the first call, which compiles.
      baselines: other calls to time in the same rounds, which do not form a kernel.

    Returns:
      A row for each contestant, and the seconds of each round of the baselines.

    Raises:
      ArithmeticError: if the kernel of a contestant is wrong; then nothing is timed.
    """
    first_seconds, flipped = {}, {}
    first_seconds[reference], theta = timing.timed(contestants[reference].call)
    for name, contestant in contestants.items():
        if name != reference:
            first_seconds[name], other = timing.timed(contestant.call)
            flipped[name] = agreement.check_kernel(name, other, theta)
    baselines = {} if baselines is None else baselines
    for call in baselines.values():
        timing.timed(call)
    calls = {name: contestant.call for name, contestant in contestants.items()}
    seconds = timing.interleave({**calls, **baselines}, rounds)
    medians = timing.medians(seconds)
    rows = []
    for name, contestant in contestants.items():
        scale, middle = contestant.scale(num_all), medians[name]
        rows.append(
            {
                "contestant": name,
                "seconds": scale * middle,
                "least": scale * min(seconds[name]),
                "compile": max(0.0, first_seconds[name] - middle)
                if contestant.compiling is None
                else contestant.compiling,
                "flipped": flipped.get(name),
                "rounds": seconds[name],
                "num_examples": contestant.num_examples,
                "tile": contestant.tile,
                "note": contestant.note(num_all),
            }
        )
    return rows, {name: seconds[name] for name in baselines}
