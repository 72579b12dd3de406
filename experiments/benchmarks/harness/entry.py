"""Runs a benchmark as a command, from flags to a table and a JSON file.

All benchmarks have the flags ``--quick``, ``--rounds``, ``--seed`` and ``--out``. Those that
measure memory also have ``--memory``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging
from absl.flags import FlagValues

from . import machine, memory, report, timing

flags.disclaim_key_flags()  # the flags belong to the benchmark, which shows them in its --help

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The parts of a benchmark that the harness does not provide.

    Attributes:
      measure: maps parsed flags to the rows of the table and to facts that all rows share.
      columns: the columns of the table; the JSON file has all values of a row.
      define: defines the benchmark's own flags.
      quick: with ``--quick``, the values of flags that the command line does not set.
      memory_of: maps a name and parsed flags to the call whose memory a fresh process measures;
        ``None`` if memory is not measured.
      rounds: the default of ``--rounds``.
    """

    measure: Callable[[FlagValues], tuple[Rows, dict[str, Any]]]
    columns: Sequence[str]
    define: Callable[[FlagValues], None] = lambda values: None
    quick: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    memory_of: Callable[[str, FlagValues], Callable[[], Any]] | None = None
    rounds: int = 3

    def define_flags(self, values: FlagValues) -> None:
        """Defines the flags that all benchmarks share, and the benchmark's own flags."""
        flags.DEFINE_bool("quick", False, "Run a tiny, meaningless problem.", flag_values=values)
        flags.DEFINE_integer(
            "rounds", self.rounds, "Times are medians over these rounds.", 1, flag_values=values
        )
        flags.DEFINE_integer("seed", 0, "The seed of everything random.", 0, flag_values=values)
        flags.DEFINE_string("out", None, "A JSON file for the results.", flag_values=values)
        if self.memory_of:
            flags.DEFINE_bool("memory", True, "Whether to measure memory.", flag_values=values)
            flags.DEFINE_string(
                "memory_of", None, "Internal: only print this call's memory.", flag_values=values
            )
        self.define(values)

    def apply_quick(self, values: FlagValues) -> None:
        """With ``--quick``, sets the quick values of flags that the command line does not set."""
        if values.quick:
            for name, value in self.quick.items():
                if not values[name].present:
                    values[name].value = value


def parse(benchmark: Benchmark, arguments: Sequence[str]) -> FlagValues:
    """Parses flags into a new set of values."""
    values = FlagValues()
    benchmark.define_flags(values)
    _refuse_more(values(["", *arguments]))
    benchmark.apply_quick(values)
    return values


def run(benchmark: Benchmark, arguments: Sequence[str]) -> Rows:
    """Runs a benchmark with the given flags, and returns the rows of its table."""
    return _run(benchmark, parse(benchmark, arguments))


def main(benchmark: Benchmark) -> None:
    """Runs a benchmark with the flags of the command line."""

    def with_arguments(arguments: Sequence[str]) -> None:
        _refuse_more(arguments)
        benchmark.apply_quick(flags.FLAGS)
        _run(benchmark, flags.FLAGS)

    logging.set_verbosity(logging.WARNING)
    benchmark.define_flags(flags.FLAGS)
    app.run(with_arguments)


def define_names(name: str, known: Iterable[str], help: str, values: FlagValues) -> None:
    """Defines a flag that chooses one or more of the known names; the default is all of them."""
    listed = list(known)
    flags.DEFINE_list(name, listed, f"{help} {' | '.join(listed)}.", flag_values=values)
    flags.register_validator(
        name,
        lambda chosen: chosen and set(chosen) <= set(listed),
        message=f"known {name}: {', '.join(listed)}",
        flag_values=values,
    )


def same_flags(values: FlagValues, names: Iterable[str]) -> list[str]:
    """Makes arguments that give the named flags the same values in another process."""
    return [values[name].serialize() for name in names if values[name].value is not None]


def _refuse_more(arguments: Sequence[str]) -> None:
    if len(arguments) > 1:
        raise app.UsageError(f"not a flag: {' '.join(arguments[1:])}")


def _run(benchmark: Benchmark, values: FlagValues) -> Rows:
    if benchmark.memory_of and values.memory_of:
        call = benchmark.memory_of(values.memory_of, values)
        print(memory.added_by(lambda: timing.timed(call)))
        return []
    load_average = os.getloadavg()  # before the benchmark adds its own
    rows, facts = benchmark.measure(values)
    facts = {**facts, "rounds": values.rounds, **machine.facts(), "load_average": load_average}
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    report.print_table(rows, benchmark.columns)
    if values.out:
        report.write_json(values.out, rows, facts)
    return rows
