"""Compares the kernel with a lower bound, a direct implementation and neural-tangents.

    python -m experiments.benchmarks.gram            # 20 minutes on 2 cores
    python -m experiments.benchmarks.gram --quick    # minutes, mostly for measuring memory

All contestants run in one process. Times are for the whole N × N Gram matrix, and are medians over
rounds in which contestants take turns. If a contestant would take longer than ``--limit``, its time
is extrapolated from a leading block, and the table says so. Before anything is timed, all kernels
must agree to 1e-5 of the largest entry. Examples in which rounding flipped a ReLU are exempt, and
the column "flipped" counts them.

The lower bound, called the floor, is the time of one batched forward and backward pass plus half an
N × P × N float32 product. It is reported both for one batch of all N examples and for the fastest
batch size. Peak memory is what one call adds to a fresh process, including compilation. This
benchmark runs on a CPU under Linux.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network
from ntk_al.types import Array

from .harness import cases, contestants, entry, memory, race, tiles
from .harness.cases import Case
from .harness.contestants import OURS, PLAIN
from .harness.problem import num_parameters
from .harness.race import Contestant

COLUMNS = (
    "case",
    "contestant",
    "seconds",
    "least",
    "/ ours",
    "/ floor",
    "/ best floor",
    "compile",
    "peak MiB",
    "flipped",
    "note",
)
PEERS = {f"neural-tangents {name}": name for name in contestants.NEURAL_TANGENTS}

Peak = Callable[[str, int, int], int]
"""A function from a contestant's name, tile and number of examples to the bytes that it takes."""


def all_contestants(
    network: Network, x: Array, case: Case, limit: float, peak: Peak | None
) -> dict[str, Contestant]:
    """Makes all contestants, each with its best tile and as many examples as ``limit`` allows."""
    found = contestants.in_process(network, x, case.memory_budget)
    row_bytes = 4 * num_parameters(network)
    for name, implementation in PEERS.items():
        wanted = contestants.NEURAL_TANGENTS[implementation]
        sizes = tiles.candidates(len(x), wanted, row_bytes, case.memory_budget)
        # Gradients of a tile need more memory than its Jacobian.
        while peak and len(sizes) > 1 and peak(name, sizes[-1], sizes[-1]) > case.memory_budget:
            sizes.pop()
        kernel = contestants.neural_tangents(network, x, implementation)
        found[name] = tiles.searched(kernel, sizes, len(x), limit)
    return found


def floors(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Makes the rows of the floor, for one batch and for the fastest batch size, from its parts."""
    product = statistics.median(seconds["product"]) / 2
    passes = {
        int(name.split()[1]): product + statistics.median(values)
        for name, values in seconds.items()
        if name != "product"
    }
    whole, best = max(passes), min(passes, key=lambda size: passes[size])
    return [
        {"contestant": "floor, one batch", "seconds": passes[whole]},
        {"contestant": "floor, best batch", "seconds": passes[best], "note": f"batch {best}"},
    ]


def measure_case(
    case: Case, *, rounds: int, limit: float, peak: Peak | None = None
) -> list[dict[str, Any]]:
    """Measures the rows of a case: the contestants, then the two floors.

    Args:
      case: the Gram matrix to form.
      rounds: the number of rounds; times are medians over them.
      limit: seconds for one call; the time of a slower contestant is extrapolated.
      peak: measures memory; ``None`` leaves it out.

    Raises:
      ArithmeticError: if the kernel of a contestant is wrong.
    """
    network, x = case.make()
    rows, parts = race.run(
        all_contestants(network, x, case, limit, peak),
        reference=PLAIN,
        num_all=len(x),
        rounds=rounds,
        baselines=contestants.floor_parts(network, x, case.memory_budget),
    )
    if peak:
        for row in rows:
            size = peak(row["contestant"], row["tile"] or 0, row["num_examples"])
            row["peak MiB"] = round(size / memory.MIB)
    one_batch, best_batch = floors(parts)
    ours = rows[0]["seconds"]
    rows += [one_batch, best_batch]
    for row in rows:
        row["/ ours"] = row["seconds"] / ours
        row["/ floor"] = row["seconds"] / one_batch["seconds"]
        row["/ best floor"] = row["seconds"] / best_batch["seconds"]
    return rows


def peak_memory(case: str, values: FlagValues, name: str, tile: int, num_examples: int) -> int:
    """Measures the peak memory, in bytes, of a fresh process that runs one contestant once."""
    arguments = entry.same_flags(values, ("quick", "seed"))
    arguments += [f"--cases={case}", f"--memory_of={name}"]
    arguments += [f"--tile={tile}", f"--num_examples={num_examples}"]
    return memory.of_fresh_process(__spec__.name, arguments)


def memory_of(name: str, values: FlagValues) -> Callable[[], Any]:
    """Makes the call whose memory a fresh process measures."""
    _round_like_the_reference()
    (case,) = cases.chosen(values).values()
    network, x = jax.block_until_ready(case.make())
    if name in (OURS, PLAIN):
        return contestants.in_process(network, x, case.memory_budget)[name].call
    kernel = contestants.neural_tangents(network, x, PEERS[name])
    return functools.partial(kernel, values.tile, values.num_examples)


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of all cases."""
    _round_like_the_reference()

    def rows_of(name: str, case: Case) -> list[dict[str, Any]]:
        peak = functools.partial(peak_memory, name, values) if values.memory else None
        return measure_case(case, rounds=values.rounds, limit=values.limit, peak=peak)

    return cases.rows_of_all(cases.chosen(values), rows_of), {}


def _round_like_the_reference() -> None:
    # On other devices than a CPU, convolutions would otherwise be too inexact to agree to 1e-5.
    jax.config.update("jax_default_matmul_precision", "highest")


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    cases.define_flags(list(cases.CASES), values)
    flags.DEFINE_integer("tile", 0, "Internal: tile for --memory_of.", flag_values=values)
    flags.DEFINE_integer("num_examples", 0, "Internal: N for --memory_of.", flag_values=values)


BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, memory_of=memory_of)

if __name__ == "__main__":
    entry.main(BENCHMARK)
