"""The kernel beside neural-tangents under its own JAX and torch.func, on a CPU.

    python -m experiments.benchmarks.peers            # an hour
    python -m experiments.benchmarks.peers --quick    # a minute or two

Each peer has an environment of its own, made at first use (Python 3.11 or 3.12, several hundred
MB), and a process that waits for its turn; all get the same weights, inputs and two cores. The rest
is as in ``gram``: all agree to 1e-5 before anything is timed, seconds are medians over rounds, a
peer has its best tile, and what takes too long is extrapolated and says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging

from experiments.benchmarks import (
    gram,
    gram_cases,
    gram_contestants,
    measuring,
    peer_process,
    race,
    tiles,
)
from experiments.benchmarks.gram import OURS, PLAIN
from experiments.benchmarks.gram_cases import Case
from experiments.benchmarks.peer_process import PeerProcess
from experiments.benchmarks.race import Contestant
from ntk_al import Network

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
BATCHES = (8, 16, 32, 64, 128, 256)  # of torch.func
TILES = dict(gram_contestants.NEURAL_TANGENTS)
TILES["STRUCTURED_DERIVATIVES"] = TILES["JACOBIAN_CONTRACTION"]


def write_problem(path: str, network: Network, x: jax.Array) -> None:
    """Writes variables, by the path of their names, and inputs to a .npz file."""
    leaves = jax.tree_util.tree_leaves_with_path(network.variables)
    arrays: dict[str, Any] = {
        "/".join(key.key for key in keys): np.asarray(leaf) for keys, leaf in leaves
    }
    np.savez(path, x=np.asarray(x), **arrays)


def peer_contestants(
    peer: PeerProcess, network: Network, case: Case, limit: float
) -> dict[str, Contestant]:
    """The implementations of one peer, each with its best tile or batch size."""
    found, num_all = {}, case.num_examples
    row_bytes = 4 * gram_contestants.num_parameters(network)
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


def measure(
    case: Case, pythons: dict[str, str], *, rounds: int, limit: float, memory: bool
) -> list[dict[str, Any]]:
    """The rows of a case.

    Args:
      case: what is formed.
      pythons: the interpreter of each peer's environment.
      rounds: times are medians of so many.
      limit: seconds of a call; what takes longer is extrapolated.
      memory: whether to measure the peers' peak memory, too.

    Raises:
      ArithmeticError: a contestant is wrong.
    """
    network, x = case.make()
    contestants = {name: gram.one_contestant(name, network, x, case) for name in (OURS, PLAIN)}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        arrays = os.path.join(folder, "problem.npz")
        write_problem(arrays, network, x)

        def start(peer: str) -> PeerProcess:
            return PeerProcess(peer, pythons[peer], [case.model, arrays, str(NUM_CORES)], folder)

        owners: dict[str, str] = {}
        for peer in pythons:
            process = stack.enter_context(start(peer))
            new = peer_contestants(process, network, case, limit)
            contestants |= new
            owners |= dict.fromkeys(new, peer)
        rows, _ = race.run(contestants, reference=PLAIN, num_all=len(x), rounds=rounds)
        for row in rows:
            row["/ ours"] = row["seconds"] / rows[0]["seconds"]
            if memory and row["contestant"] in owners:
                # In a process that has done nothing else.
                with start(owners[row["contestant"]]) as process:
                    process.kernel(row["contestant"], row["tile"], row["num_examples"])
                    row["peak MiB"] = round(process.peak / 2**20)
    return rows


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags."""
    race.define_flags(CASES, values)
    known = f"Which peers: {' | '.join(peer_process.PEERS)}."
    flags.DEFINE_list("peers", list(peer_process.PEERS), known, flag_values=values)
    flags.DEFINE_string("environments", ".bench", "Where theirs are made.", flag_values=values)
    flags.DEFINE_string("python", sys.executable, "What makes them.", flag_values=values)


def main(arguments: Sequence[str]) -> None:
    """Flags to environments and cases, cases to a table."""
    if len(arguments) > 1:
        raise app.UsageError(f"not a flag: {' '.join(arguments[1:])}")
    values = flags.FLAGS
    # Before JAX counts them; processes that are started later inherit it.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_CORES])
    jax.config.update("jax_platforms", "cpu")
    machine = {**measuring.machine_facts(), "peers": peer_process.pins()}
    pythons = {
        peer: peer_process.make_environment(peer, values.environments, values.python)
        for peer in values.peers
    }
    cases = {name: gram_cases.CASES[name] for name in values.cases}
    if values.quick:
        cases = {name: case.quick() for name, case in cases.items()}

    def rows_of(name: str, case: Case) -> list[dict[str, Any]]:
        rows = measure(
            case, pythons, rounds=values.rounds, limit=values.limit, memory=values.memory
        )
        for row in rows:
            if values.memory and row["contestant"] in (OURS, PLAIN):
                size = gram.peak_memory(name, values.quick, row["contestant"], 0, 0)
                row["peak MiB"] = round(size / 2**20)
        return rows

    race.report(race.of_cases(cases, rows_of), COLUMNS, machine, values.out)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    define()
    app.run(main)
