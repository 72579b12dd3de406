"""What is measured on: the MNIST protocol of ``mnist.flags``, and a digits stand-in of seconds."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags

from experiments import command_line
from experiments.benchmarks import measuring
from ntk_al import Pool, data, models, training
from ntk_al.acquisition import CandidateSet
from ntk_al.training import TrainingConfig

FULL = ("mnist.flags", "--width=64")
QUICK = (
    "digits.flags",
    "--model=mlp",
    "--augmentation=none",
    "--width=16",
    "--epochs=60",
    "--subset_size=60",
    "--query_size=5",
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """The first query of an experiment, just before a strategy is asked.

    Attributes:
      name: flagfile and flags that it was made from.
      candidates: network, labeled examples and candidates.
      num_queried: k, how many candidates the protocol queries.
      training: how the network was fitted.
      train_seconds: how long that took, compilation included.
    """

    name: str
    candidates: CandidateSet
    num_queried: int
    training: TrainingConfig
    train_seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the benchmarks that run on this protocol."""
    parser.add_argument("--data_dir", help="where tensorflow-datasets finds prepared MNIST")
    parser.add_argument("--quick", action="store_true", help="digits and a tiny network: seconds")
    parser.add_argument("--width", type=int, help="of the network; default: 64, quick 16")
    parser.add_argument("--candidates", type=int, help="fewer than the protocol's")
    parser.add_argument("--rounds", type=int, default=3, help="times are medians of so many")
    parser.add_argument("--output", help="JSON file for the rows of the table")
    parser.add_argument("--seed", type=int, default=0, help="of labels, weights and training")


def load(options: argparse.Namespace, *, train: bool = True) -> Problem:
    """The problem that the flags of ``add_arguments`` ask for.

    Args:
      options: parsed flags.
      train: whether to fit the network; memory can be measured without.
    """
    flagfile, *rest = QUICK if options.quick else FULL
    if options.width is not None:
        rest.append(f"--width={options.width}")
    if options.candidates is not None:
        rest.append(f"--subset_size={options.candidates}")
    values = flags.FlagValues()
    command_line.define(values)
    values(["", f"--flagfile={os.path.join(command_line.FLAGFILE_DIR, flagfile)}", *rest])
    config = command_line.to_config(values)

    dataset = data.load(config.dataset, options.data_dir)
    label_key, subset_key, weight_key, train_key = jax.random.split(jax.random.key(options.seed), 4)
    pool = Pool.start(label_key, len(dataset.x_train), config.init_size)
    ids = pool.subset(subset_key, config.subset_size)
    x_labeled, y_labeled = dataset.x_train[pool.labeled], dataset.y_train[pool.labeled]
    module = models.build(
        config.model, dataset.num_classes, width=config.width, blocks=config.blocks
    )
    network = training.initialize(weight_key, module, x_labeled)
    fit_config = config.training(dataset.augmentation)
    start = time.perf_counter()
    if train:
        network, _ = training.fit(train_key, network, x_labeled, y_labeled, fit_config)
    return Problem(
        name=" ".join([flagfile, *rest]),
        candidates=CandidateSet(network, x_labeled, y_labeled, dataset.x_train[ids], ids),
        num_queried=config.query_size,
        training=fit_config,
        train_seconds=time.perf_counter() - start,
    )


def report(
    problem: Problem,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Prints the problem, the machine and the table, and writes ``--output`` if it was given."""
    candidates, machine = problem.candidates, measuring.machine_facts()
    print(
        f"{problem.name}: {len(candidates.x_labeled)} labeled, {len(candidates.x)} candidates, "
        f"trained in {problem.train_seconds:.3g} s; medians of {options.rounds} rounds"
    )
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    measuring.print_table(rows, columns)
    if options.output:
        measuring.write_json(options.output, rows, {"problem": problem.name, **machine})
