"""A benchmark as a command: flags in, a table and a JSON file out.

All benchmarks have the flags ``--quick``, ``--rounds``, ``--seed`` and ``--out``, and those that
measure memory have ``--memory`` as well.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging
from absl.flags import FlagValues

from . import machine, memory, report, timing

flags.disclaim_key_flags()  # they belong to the benchmark that asks for them, and to its --help

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What a benchmark adds to the harness.

    Attributes:
      measure: from parsed flags to the rows of the table, and to facts that all of them share.
      columns: of the table; the JSON file has everything that is in a row.
      define: defines the benchmark's own flags.
      quick: values that ``--quick`` gives to flags that the command line does not name.
      memory_of: the call whose memory a fresh process measures, from its name and parsed flags;
        ``None`` where memory is not measured.
      rounds: the default of ``--rounds``.
    """

    measure: Callable[[FlagValues], tuple[Rows, dict[str, Any]]]
    columns: Sequence[str]
    define: Callable[[FlagValues], None] = lambda values: None
    quick: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    memory_of: Callable[[str, FlagValues], Callable[[], Any]] | None = None
    rounds: int = 3

    def define_flags(self, values: FlagValues) -> None:
        """Defines the flags that all benchmarks have, and this one's own."""
        flags.DEFINE_bool("quick", False, "A tiny problem, and no meaning.", flag_values=values)
        flags.DEFINE_integer(
            "rounds", self.rounds, "Times are medians of so many.", 1, flag_values=values
        )
        flags.DEFINE_integer("seed", 0, "Of everything random.", 0, flag_values=values)
        flags.DEFINE_string("out", None, "JSON file for the result.", flag_values=values)
        if self.memory_of:
            flags.DEFINE_bool("memory", True, "Whether to measure memory.", flag_values=values)
            flags.DEFINE_string(
                "memory_of", None, "Internal: print only the memory of this.", flag_values=values
            )
        self.define(values)

    def apply_quick(self, values: FlagValues) -> None:
        """Gives flags that the command line does not name what ``--quick`` means for them."""
        if values.quick:
            for name, value in self.quick.items():
                if not values[name].present:
                    values[name].value = value


def parse(benchmark: Benchmark, arguments: Sequence[str]) -> FlagValues:
    """The values of the given flags, in a set of their own."""
    values = FlagValues()
    benchmark.define_flags(values)
    _refuse_more(values(["", *arguments]))
    benchmark.apply_quick(values)
    return values


def run(benchmark: Benchmark, arguments: Sequence[str]) -> Rows:
    """Runs a benchmark with the given flags; returns the rows of its table."""
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
    """Defines a flag that chooses one or more of the known names; by default it chooses all."""
    listed = list(known)
    flags.DEFINE_list(name, listed, f"{help} {' | '.join(listed)}.", flag_values=values)
    flags.register_validator(
        name,
        lambda chosen: chosen and set(chosen) <= set(listed),
        message=f"known {name}: {', '.join(listed)}",
        flag_values=values,
    )


def same_flags(values: FlagValues, names: Iterable[str]) -> list[str]:
    """Arguments with which another process has the same values of the named flags."""
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
