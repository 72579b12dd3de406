"""The kernel beside its floor, the plain way and neural-tangents, in one process.

    python -m experiments.benchmarks.gram            # many minutes on a CPU
    python -m experiments.benchmarks.gram --quick    # a minute

Seconds are medians over rounds in which contestants take turns, for the whole N × N Gram matrix;
what takes longer than ``--limit`` is extrapolated from a leading block and says so. All must agree
to 1e-5 of the largest entry before anything is timed; "flipped" counts examples that are excepted,
see ``race``. The floor is one batched forward and backward pass and half an N × P × N float32
product: with all N in one batch, and with the batch size that is fastest. Peak memory is what one
call adds to a fresh process, compilation included. Linux, on a CPU.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import app, flags, logging

from experiments.benchmarks import gram_cases, gram_contestants, measuring, race, tiles
from experiments.benchmarks.gram_cases import Case
from experiments.benchmarks.race import Contestant
from ntk_al import Network, kernels
from ntk_al.types import Array

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
OURS, PLAIN = "ntk_al", "vmap(grad), product"
PEERS = {f"neural-tangents {name}": name for name in gram_contestants.NEURAL_TANGENTS}


def contestants(
    network: Network, x: Array, case: Case, limit: float, peak: Callable[[str, int, int], int]
) -> dict[str, Contestant]:
    """All contestants, each with its best tile, and no more examples than ``limit`` allows."""
    found = {name: one_contestant(name, network, x, case) for name in (OURS, PLAIN)}
    row_bytes = 4 * gram_contestants.num_parameters(network)
    for name, implementation in PEERS.items():
        wanted = gram_contestants.NEURAL_TANGENTS[implementation]
        sizes = tiles.candidates(len(x), wanted, row_bytes, case.memory_budget)
        # Gradients of a tile need more memory than its Jacobian.
        while len(sizes) > 1 and peak(name, sizes[-1], sizes[-1]) > case.memory_budget:
            sizes.pop()
        kernel = gram_contestants.neural_tangents(network, x, implementation)
        found[name] = tiles.searched(kernel, sizes, len(x), limit)
    return found


def one_contestant(
    name: str, network: Network, x: Array, case: Case, tile: int = 0, num_examples: int = 0
) -> Contestant:
    """A contestant by name; for neural-tangents with a tile and a number of examples."""
    if name == OURS:
        budget = case.memory_budget
        return Contestant(lambda: kernels.gram(network, x, memory_budget=budget), len(x))
    if name == PLAIN:
        return Contestant(lambda: gram_contestants.plain(network, x), len(x))
    kernel = gram_contestants.neural_tangents(network, x, PEERS[name])
    return Contestant(lambda: kernel(tile, num_examples), num_examples, tile=tile)


def floors(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Rows of the literal floor and of the best batch size's, from the seconds of their parts."""
    product = measuring.median(seconds["product"]) / 2
    passes = {
        int(name.split()[1]): product + measuring.median(values)
        for name, values in seconds.items()
        if name != "product"
    }
    whole, best = max(passes), min(passes, key=lambda size: passes[size])
    return [
        {"contestant": "floor, one batch", "seconds": passes[whole]},
        {"contestant": "floor, best batch", "seconds": passes[best], "note": f"batch {best}"},
    ]


def measure(
    case: Case, *, rounds: int, limit: float, peak: Callable[[str, int, int], int] | None = None
) -> list[dict[str, Any]]:
    """The rows of a case: contestants, then the two floors.

    Args:
      case: what is formed.
      rounds: times are medians of so many.
      limit: seconds of a call; what takes longer is extrapolated.
      peak: bytes that a contestant takes, from its name, its tile and its number of examples;
        ``None`` leaves memory out.

    Raises:
      ArithmeticError: a contestant is wrong.
    """
    network, x = case.make()
    rows, parts = race.run(
        contestants(network, x, case, limit, peak or (lambda *_: 0)),
        reference=PLAIN,
        num_all=len(x),
        rounds=rounds,
        baselines=gram_contestants.floor_parts(network, x, case.memory_budget),
    )
    if peak:
        for row in rows:
            size = peak(row["contestant"], row["tile"] or 0, row["num_examples"])
            row["peak MiB"] = round(size / 2**20)
    one_batch, best_batch = floors(parts)
    ours = rows[0]["seconds"]
    rows += [one_batch, best_batch]
    for row in rows:
        row["/ ours"] = row["seconds"] / ours
        row["/ floor"] = row["seconds"] / one_batch["seconds"]
        row["/ best floor"] = row["seconds"] / best_batch["seconds"]
    return rows


def peak_memory(case: str, quick: bool, name: str, tile: int, num_examples: int) -> int:
    """Bytes at the peak of a fresh process that only runs one contestant, once."""
    command = [sys.executable, "-m", "experiments.benchmarks.gram"]
    command += [f"--cases={case}", f"--quick={quick}", f"--only={name}"]
    command += [f"--tile={tile}", f"--num_examples={num_examples}"]
    return measuring.peak_memory_of(command)


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags."""
    race.define_flags(list(gram_cases.CASES), values)
    flags.DEFINE_string(
        "only", None, "Internal: print the peak memory of this contestant.", flag_values=values
    )
    flags.DEFINE_integer("tile", 0, "Internal: that of --only.", flag_values=values)
    flags.DEFINE_integer("num_examples", 0, "Internal: those of --only.", flag_values=values)


def main(arguments: Sequence[str]) -> None:
    """Flags to cases, cases to a table."""
    if len(arguments) > 1:
        raise app.UsageError(f"not a flag: {' '.join(arguments[1:])}")
    values = flags.FLAGS
    # Elsewhere than on a CPU, convolutions would be rounded to less than the gate allows.
    jax.config.update("jax_default_matmul_precision", "highest")
    cases = {name: gram_cases.CASES[name] for name in values.cases}
    if values.quick:
        cases = {name: case.quick() for name, case in cases.items()}
    if values.only:
        (case,) = cases.values()
        network, x = jax.block_until_ready(case.make())
        only = one_contestant(values.only, network, x, case, values.tile, values.num_examples)
        measuring.print_peak_memory(only.call)
        return
    machine = measuring.machine_facts()

    def rows_of(name: str, case: Case) -> list[dict[str, Any]]:
        peak = functools.partial(peak_memory, name, values.quick) if values.memory else None
        return measure(case, rounds=values.rounds, limit=values.limit, peak=peak)

    race.report(race.of_cases(cases, rows_of), COLUMNS, machine, values.out)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    define()
    app.run(main)
