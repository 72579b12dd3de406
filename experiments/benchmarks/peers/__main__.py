"""Compares the kernel, on a CPU, with torch.func and with neural-tangents under an older JAX.

    python -m experiments.benchmarks.peers            # an hour
    python -m experiments.benchmarks.peers --quick    # a minute or two

Each peer has its own environment, which is created on first use (with Python 3.11 or 3.12; several
hundred MB), and its own process, which waits for its turn. All use the same weights, the same
inputs and two cores. The rest is as in ``gram``: before anything is timed, all kernels must agree
to 1e-5; times are medians over rounds; every peer uses its best tile; and if a peer would take too
long, its time is extrapolated, and the table says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from typing import Any

import jax
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network

from .. import gram
from ..harness import cases, contestants, entry, memory, race, tiles
from ..harness.cases import Case
from ..harness.contestants import OURS, PLAIN
from ..harness.problem import num_parameters
from ..harness.race import Contestant
from . import environments, process
from .process import PeerProcess

CASES = ("resnet18", "wide_resnet_64")
COLUMNS = (
    "case",
    "contestant",
    "seconds",
    "least",
    "/ ours",
    "compile",
    "peak MiB",
    "flipped",
    "note",
)
NUM_CORES = 2
BATCHES = (8, 16, 32, 64, 128, 256)  # batch sizes to try for torch.func
TILES = dict(contestants.NEURAL_TANGENTS)
TILES["STRUCTURED_DERIVATIVES"] = TILES["JACOBIAN_CONTRACTION"]


def peer_contestants(
    peer: PeerProcess, network: Network, case: Case, limit: float
) -> dict[str, Contestant]:
    """Makes a contestant for each implementation of a peer, with its best tile or batch size."""
    found, num_all = {}, case.num_examples
    row_bytes = 4 * num_parameters(network)
    for name in peer.implementations:
        kernel = functools.partial(peer.kernel, name)
        wanted = TILES.get(name.split()[-1])
        if wanted:
            sizes = tiles.candidates(num_all, wanted, row_bytes, case.memory_budget)
            contestant = tiles.searched(kernel, sizes, num_all, limit)
        else:
            batches = sorted({min(size, num_all) for size in BATCHES})
            contestant = tiles.searched(kernel, batches, num_all, limit, power=1)
        found[name] = contestant
    return found


def measure_case(
    case: Case, pythons: dict[str, str], *, rounds: int, limit: float, memory_too: bool
) -> list[dict[str, Any]]:
    """Measures the rows of a case.

    Args:
      case: the Gram matrix to form.
      pythons: the interpreter of each peer's environment.
      rounds: the number of rounds; times are medians over them.
      limit: seconds for one call; the time of a slower contestant is extrapolated.
      memory_too: whether to measure the peers' peak memory.

    Raises:
      ArithmeticError: if the kernel of a contestant is wrong.
    """
    network, x = case.make()
    found = contestants.in_process(network, x, case.memory_budget)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        arrays = os.path.join(folder, "arrays.npz")
        process.write_arrays(arrays, network, x)

        def start(peer: str) -> PeerProcess:
            return PeerProcess(
                peer,
                pythons[peer],
                model=case.model,
                arrays=arrays,
                threads=NUM_CORES,
                folder=folder,
            )

        owners: dict[str, str] = {}
        for peer in pythons:
            running = stack.enter_context(start(peer))
            new = peer_contestants(running, network, case, limit)
            found |= new
            owners |= dict.fromkeys(new, peer)
        rows, _ = race.run(found, reference=PLAIN, num_all=len(x), rounds=rounds)
        for row in rows:
            row["/ ours"] = row["seconds"] / rows[0]["seconds"]
            if memory_too and row["contestant"] in owners:
                # Memory is measured in a process that has done nothing else.
                with start(owners[row["contestant"]]) as alone:
                    alone.kernel(row["contestant"], row["tile"], row["num_examples"])
                    row["peak MiB"] = round(alone.peak / memory.MIB)
    return rows


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of all cases; also returns the packages in the environments."""
    # This must happen before JAX counts the cores. Processes that start later inherit it.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_CORES])
    jax.config.update("jax_platforms", "cpu")
    pythons = {
        peer: environments.make(peer, values.environments, values.python) for peer in values.peers
    }

    def rows_of(name: str, case: Case) -> list[dict[str, Any]]:
        rows = measure_case(
            case, pythons, rounds=values.rounds, limit=values.limit, memory_too=values.memory
        )
        for row in rows:
            if values.memory and row["contestant"] in (OURS, PLAIN):
                size = gram.peak_memory(name, values, row["contestant"], 0, 0)
                row["peak MiB"] = round(size / memory.MIB)
        return rows

    rows = cases.rows_of_all(cases.chosen(values), rows_of)
    return rows, {"peers": environments.pins()}


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    cases.define_flags(CASES, values)
    entry.define_names("peers", process.IMPLEMENTATIONS, "The peers:", values)
    flags.DEFINE_bool("memory", True, "Whether to measure peak memory.", flag_values=values)
    flags.DEFINE_string("environments", ".bench", "The environments' folder.", flag_values=values)
    flags.DEFINE_string("python", sys.executable, "The Python for them.", flag_values=values)


BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags)

if __name__ == "__main__":
    entry.main(BENCHMARK)
