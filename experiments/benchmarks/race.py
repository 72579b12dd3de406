"""Contestants that form one kernel: they must agree, then take turns, and the slow run a part."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from absl import flags
from numpy.typing import ArrayLike

from experiments.benchmarks import measuring

T = TypeVar("T")

TOLERANCE = 1e-5  # of an entry, over the largest entry
# A ReLU input that is zero but for rounding may count as on or as off, and two frameworks may
# disagree. That changes one example's gradient, and so its row and column, by about 1e-4.
FLIPPED_SHARE = 0.1  # of the examples, and one more, at most
FLIPPED_TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One way to form a kernel.

    Attributes:
      call: forms Θ(x, x) of the first ``num_examples`` inputs.
      num_examples: those that ``call`` takes; fewer than N where all would take too long.
      power: seconds grow as this power of ``num_examples``.
      tile: examples that it takes at a time, where that was searched for.
      compiling: seconds, where the search has compiled it; else the first call shows them.
    """

    call: Callable[[], Any]
    num_examples: int
    power: int = 2
    tile: int | None = None
    compiling: float | None = None

    def scale(self, num_all: int) -> float:
        """What seconds are multiplied by to stand for all N examples."""
        return float(num_all / self.num_examples) ** self.power

    def note(self, num_all: int) -> str:
        """Tile, and whether the seconds are extrapolated."""
        notes = [] if self.tile is None else [f"tile {self.tile}"]
        if self.num_examples < num_all:
            notes.append(f"EXTRAPOLATED from N={self.num_examples}")
        return ", ".join(notes)


def check_agreement(name: str, theta: ArrayLike, reference: ArrayLike) -> int:
    """Compares a kernel, or its leading block, with a reference.

    Every entry must agree to ``TOLERANCE`` times the largest entry, but for those of the few
    examples in which a ReLU was flipped by rounding; those must agree to ``FLIPPED_TOLERANCE``.

    Returns:
      How many examples were flipped.

    Raises:
      ArithmeticError: the kernel is wrong.
    """
    a = np.asarray(theta, np.float64)
    b = np.asarray(reference, np.float64)[: len(a), : len(a)]
    if a.shape != b.shape:
        raise ArithmeticError(f"the kernel of {name!r} is {a.shape}, the reference {b.shape}")
    difference = np.abs(a - b) / np.abs(b).max()
    num_flipped = _num_flipped(difference)
    # NaN is refused, too.
    if not difference.max() <= FLIPPED_TOLERANCE or num_flipped > 1 + FLIPPED_SHARE * len(a):
        raise ArithmeticError(
            f"the kernel of {name!r} differs from the reference by {difference.max():.2g} of its "
            f"largest entry, and by more than {TOLERANCE:g} because of {num_flipped} of {len(a)} "
            "examples. Times of wrong kernels are not reported."
        )
    return num_flipped


def _num_flipped(difference: np.ndarray) -> int:
    """How many examples have to be left out until all entries of the others agree."""
    disagree = ~(difference <= TOLERANCE)
    disagree |= disagree.T
    num_left_out = 0
    while disagree.any():
        worst = disagree.sum(0).argmax()
        disagree[worst] = disagree[:, worst] = False
        num_left_out += 1
    return num_left_out


def run(
    contestants: Mapping[str, Contestant],
    *,
    reference: str,
    num_all: int,
    rounds: int,
    baselines: Mapping[str, Callable[[], Any]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """Checks that all agree, then times them in turn.

    Args:
      contestants: by name.
      reference: the contestant that all must agree with; it forms the whole kernel.
      num_all: N, what seconds are for.
      rounds: after the first call, which compiles.
      baselines: calls to be timed in the same rounds, that form no kernel.

    Returns:
      A row for each contestant, and the seconds of each round of the baselines.

    Raises:
      ArithmeticError: a contestant is wrong; nothing was timed.
    """
    first_seconds, flipped = {}, {}
    first_seconds[reference], theta = measuring.timed(contestants[reference].call)
    for name, contestant in contestants.items():
        if name != reference:
            first_seconds[name], other = measuring.timed(contestant.call)
            flipped[name] = check_agreement(name, other, theta)
    baselines = {} if baselines is None else baselines
    for call in baselines.values():
        measuring.timed(call)
    calls = {name: contestant.call for name, contestant in contestants.items()}
    seconds = measuring.interleave({**calls, **baselines}, rounds)
    rows = []
    for name, contestant in contestants.items():
        scale, middle = contestant.scale(num_all), measuring.median(seconds[name])
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


def define_flags(cases: Sequence[str], values: flags.FlagValues) -> None:
    """Defines the flags that every race has."""
    known = f"What is timed: {' | '.join(cases)}."
    flags.DEFINE_list("cases", list(cases), known, flag_values=values)
    flags.DEFINE_bool("quick", False, "Tiny networks and images.", flag_values=values)
    flags.DEFINE_integer("rounds", 3, "Times are medians of so many.", 1, flag_values=values)
    flags.DEFINE_float(
        "limit", 60, "Seconds of a call; what takes longer is extrapolated.", flag_values=values
    )
    flags.DEFINE_bool("memory", True, "Whether to measure peak memory.", flag_values=values)
    flags.DEFINE_string("out", None, "JSON file for the rows of the table.", flag_values=values)
    flags.register_validator(
        "cases",
        lambda chosen: chosen and set(chosen) <= set(cases),
        message=f"known cases: {', '.join(cases)}",
        flag_values=values,
    )


def of_cases(
    cases: Mapping[str, T], measure: Callable[[str, T], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The rows of one case after the other, each with its name; says which is being measured."""
    rows = []
    for name, case in cases.items():
        print(f"{name}: {case}", file=sys.stderr, flush=True)
        rows += [{"case": name, **row} for row in measure(name, case)]
    return rows


def report(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    machine: Mapping[str, Any],
    out: str | None,
) -> None:
    """Prints the machine and the table, and writes the JSON file if one is named."""
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    measuring.print_table(rows, columns)
    if out:
        measuring.write_json(out, rows, machine)
