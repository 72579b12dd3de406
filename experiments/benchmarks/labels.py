"""Look-ahead with many labels: conjugate gradients beside the Cholesky factor.

    python -m experiments.benchmarks.labels --data_dir=DIR    # MNIST; hours on a CPU
    python -m experiments.benchmarks.labels --quick           # digits; seconds

Candidates are scored at a few hundred evaluation points, after L labels of the training set. A
labeled set that is larger than ``--most_by_cholesky`` is conditioned on by conjugate gradients
alone. Seconds are of one call and contain its compilation; memory is what it adds to a fresh
process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network, data, lookahead, models, training

from .harness import entry, memory, timing

COLUMNS = ("labels", "solver", "seconds", "exponent", "MiB", "condition number", "difference")
_FEW = 2000  # labels that train the network whose memory alone is measured


def query(
    values: FlagValues, network: Network, dataset: data.Dataset, num: int, solver: str
) -> Callable[[], lookahead.Selection]:
    """Makes the call that is measured."""
    rest = dataset.x_test
    return lambda: lookahead.select(
        network,
        dataset.x_train[:num],
        dataset.y_train[:num],
        rest[: values.num_pool],
        1,
        x_eval=rest[values.num_pool : values.num_pool + values.num_eval],
        batch_mode="top_k",
        ridge=values.ridge,
        solver=solver,
    )


def loaded(values: FlagValues) -> data.Dataset:
    """Returns MNIST, or the digits for ``--quick``."""
    if values.quick:
        return data.load("digits")
    return data.load("mnist", data_dir=values.data_dir)


def trained(values: FlagValues, dataset: data.Dataset, num: int, epochs: int) -> Network:
    """Returns a perceptron that is trained on the first labels."""
    x, y = dataset.x_train[:num], dataset.y_train[:num]
    module = models.build("mlp", dataset.num_classes, width=values.width)
    network = training.initialize(jax.random.key(values.seed), module, x[:_FEW])
    config = training.TrainingConfig(epochs=epochs, batch_size=64, learning_rate=0.02)
    return training.fit(jax.random.key(values.seed + 1), network, x, y, config)[0]


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    rows: list[dict[str, Any]] = []
    dataset = loaded(values)
    for num in sorted(int(text) for text in values.sizes):
        network = trained(values, dataset, num, values.epochs)
        scores: dict[str, np.ndarray] = {}
        for solver in lookahead.SOLVERS:
            if solver == "cholesky" and num > values.most_by_cholesky:
                continue
            seconds, found = timing.timed(query(values, network, dataset, num, solver))
            scores[solver] = found.scores
            row = {
                "labels": num,
                "solver": solver,
                "seconds": seconds,
                "MiB": peak_memory(values, num, solver) if values.memory else None,
                "condition number": found.diagnostics.condition_number,
            }
            before = [other for other in rows if other["solver"] == solver]
            if before:
                growth = np.log(seconds / before[-1]["seconds"])
                row["exponent"] = float(growth / np.log(num / before[-1]["labels"]))
            if len(scores) == len(lookahead.SOLVERS):
                largest = np.abs(scores["cholesky"]).max()
                row["difference"] = float(np.abs(scores["cg"] - scores["cholesky"]).max() / largest)
            rows.append(row)
            print({name: row.get(name) for name in COLUMNS}, flush=True)
    names = ("width", "num_pool", "num_eval", "ridge", "epochs")
    return rows, {name: values[name].value for name in names}


def peak_memory(values: FlagValues, num: int, solver: str) -> float:
    """Measures the peak memory, in MiB, that a query adds to a fresh process."""
    names = ("quick", "data_dir", "width", "num_pool", "num_eval", "ridge", "seed")
    arguments = [*entry.same_flags(values, names), f"--memory_of={solver},{num}"]
    return memory.of_fresh_process(__spec__.name, arguments) / memory.MIB


def memory_of(which: str, values: FlagValues) -> Callable[[], Any]:
    """Makes the call whose memory a fresh process measures."""
    solver, num = which.split(",")
    dataset = loaded(values)
    network = trained(values, dataset, min(int(num), _FEW), epochs=1)
    return query(values, network, dataset, int(num), solver)


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    sizes = ["1000", "2000", "5000", "10000", "20000", "50000"]
    flags.DEFINE_list("sizes", sizes, "Numbers of labels.", flag_values=values)
    flags.DEFINE_string(
        "data_dir", None, "Where tensorflow-datasets finds MNIST.", flag_values=values
    )
    flags.DEFINE_integer("width", 128, "Width of the perceptron.", 1, flag_values=values)
    flags.DEFINE_integer("num_pool", 200, "U.", 1, flag_values=values)
    flags.DEFINE_integer("num_eval", 200, "E.", 1, flag_values=values)
    flags.DEFINE_integer("epochs", 10, "Epochs of training.", 1, flag_values=values)
    flags.DEFINE_float("ridge", lookahead.ScoreOptions.ridge, "The ridge.", flag_values=values)
    flags.DEFINE_integer(
        "most_by_cholesky", 20000, "The largest set that is factorized.", flag_values=values
    )


QUICK = {
    "sizes": ["40", "80"],
    "width": 8,
    "num_pool": 6,
    "num_eval": 5,
    "epochs": 2,
    "memory": False,
}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, memory_of=memory_of)

if __name__ == "__main__":
    entry.main(BENCHMARK)
