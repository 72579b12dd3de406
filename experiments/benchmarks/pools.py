"""Look-ahead over pools of many sizes, from landmarks: time, memory, and how they grow.

    python -m experiments.benchmarks.pools                                      # minutes on a CPU
    python -m experiments.benchmarks.pools --model=wide_resnet --sizes=100000   # more of them
    python -m experiments.benchmarks.pools --quick                              # seconds

The pool is a file that is mapped into memory: images of 28×28 pixels around a few centers, drawn as
they are, since only their number matters here. A query starts from that file and ends with the k
examples of a greedy batch. Seconds are those of the last round; those of the first contain the
compilation. Memory is what the first query adds to a fresh process, without pages of the file that
the system keeps.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network, lookahead, models, training

from .harness import entry, memory, timing

COLUMNS = (
    "candidates",
    "first seconds",
    "seconds",
    "exponent",
    "MiB",
    "landmarks",
    "trace left",
    "agreement",
)
_NUM_CLASSES, _NUM_CENTERS, _SIDE = 10, 30, 28
_CHUNK = 4096


def write_pool(path: str, num: int, side: int, seed: int) -> None:
    """Writes a pool of images around a few centers into a ``.npy`` file, part by part."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(_NUM_CENTERS, side, side, 1)).astype(np.float32)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(num, side, side, 1))
    for start in range(0, num, _CHUNK):
        part = file[start : start + _CHUNK]
        part[:] = centers[rng.integers(0, _NUM_CENTERS, len(part))]
        part += rng.normal(size=part.shape).astype(np.float32)
    file.flush()


def labeled(num: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns labeled images like those of the pool; the class depends on the center."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(_NUM_CENTERS, side, side, 1)).astype(np.float32)
    of = np.random.default_rng(seed + 1).integers(0, _NUM_CENTERS, num)
    noise = np.random.default_rng(seed + 2).normal(size=(num, side, side, 1))
    return centers[of] + noise.astype(np.float32), (of % _NUM_CLASSES).astype(np.int32)


def query(values: FlagValues, network: Network, path: str) -> Callable[[], lookahead.Selection]:
    """Makes the call that is measured."""
    x, y = labeled(values.num_labeled, values.side, values.seed)
    return lambda: lookahead.select(
        network,
        x,
        y,
        np.load(path, mmap_mode="r"),
        values.k,
        approximation="landmarks",
        rank=values.rank,
    )


def trained(values: FlagValues, epochs: int) -> Network:
    """Returns a network that is trained on the labeled images."""
    x, y = labeled(values.num_labeled, values.side, values.seed)
    module = models.build(values.model, _NUM_CLASSES, width=values.width)
    network = training.initialize(jax.random.key(values.seed), module, x)
    if not epochs:
        return network
    config = training.TrainingConfig(epochs=epochs, batch_size=16, learning_rate=0.02)
    return training.fit(jax.random.key(values.seed + 1), network, x, y, config)[0]


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    rows: list[dict[str, Any]] = []
    network = trained(values, values.epochs)
    for size in sorted(int(text) for text in values.sizes):
        with tempfile.TemporaryDirectory(dir=values.scratch) as folder:
            path = os.path.join(folder, "pool.npy")
            write_pool(path, size, values.side, values.seed)
            peak = peak_memory(values, path) if values.memory else None
            call = query(values, network, path)
            found = call()
            seconds = [found.diagnostics.seconds]
            seconds += [timing.timed(call)[0] for _ in range(values.rounds - 1)]
        row = {
            "candidates": size,
            "first seconds": seconds[0],
            "seconds": seconds[-1],
            "MiB": peak,
            "landmarks": found.diagnostics.landmarks,
            "trace left": found.diagnostics.trace_left,
            "agreement": found.diagnostics.agreement,
        }
        if rows:
            before = rows[-1]
            growth = np.log(row["seconds"] / before["seconds"])
            row["exponent"] = float(growth / np.log(size / before["candidates"]))
        rows.append(row)
        print({name: row[name] for name in ("candidates", "seconds", "MiB")}, flush=True)
    names = ("model", "width", "num_labeled", "k", "rank")
    return rows, {name: values[name].value for name in names}


def peak_memory(values: FlagValues, path: str) -> float:
    """Measures the peak memory, in MiB, that the first query adds to a fresh process."""
    names = ("model", "width", "side", "num_labeled", "k", "rank", "seed")
    arguments = [*entry.same_flags(values, names), f"--memory_of={path}"]
    return memory.of_fresh_process(__spec__.name, arguments) / memory.MIB


def memory_of(path: str, values: FlagValues) -> Callable[[], Any]:
    """Makes the call whose memory a fresh process measures."""
    return functools.partial(query(values, trained(values, epochs=0), path))


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    sizes = ["1000", "3000", "10000", "30000", "100000"]
    flags.DEFINE_list("sizes", sizes, "Numbers of candidates.", flag_values=values)
    flags.DEFINE_string("model", "mlp", "The network.", flag_values=values)
    flags.DEFINE_integer("width", 128, "Its width.", 1, flag_values=values)
    flags.DEFINE_integer("side", _SIDE, "Height and width of an image.", 1, flag_values=values)
    flags.DEFINE_integer("num_labeled", 100, "L.", 1, flag_values=values)
    flags.DEFINE_integer("k", 20, "How many examples are chosen.", 1, flag_values=values)
    flags.DEFINE_integer("epochs", 60, "Epochs of training.", 1, flag_values=values)
    flags.DEFINE_integer(
        "rank", None, "The number of landmarks; default: what the tolerance takes.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_string("scratch", None, "A folder for the pools.", flag_values=values)


QUICK = {"sizes": ["60", "120"], "width": 8, "side": 6, "rank": 8, "epochs": 2, "memory": False}
BENCHMARK = entry.Benchmark(
    measure, COLUMNS, define_flags, quick=QUICK, memory_of=memory_of, rounds=2
)

if __name__ == "__main__":
    entry.main(BENCHMARK)
