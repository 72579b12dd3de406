"""Each approximation of look-ahead beside the real thing: retraining to convergence.

    python -m experiments.benchmarks.approximations            # twenty minutes on a CPU
    python -m experiments.benchmarks.approximations --quick    # seconds

Small networks on the embedded digits. Every candidate is really added to the labels, with its most
likely label, and the trained network is trained further until it has converged again; the change
of its outputs at all candidates (MLMOC) is the truth. The table holds Spearman's rank correlation
of each strategy's utilities with it, and which part of the truth's top tenth a strategy's own top
tenth holds: means over seeds, and the least correlation.

The network is trained to convergence on its labels first, so that the truth is about the
candidate, and full batches leave no noise of SGD in it. Both trainings are without augmentation and
weight decay, which the theory does not have.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import agreement, measuring
from ntk_al import Pool, data, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.training import TrainingConfig

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlmoc": ("mlmoc", {}),
    "mlmoc, sum_logits": ("mlmoc", {"readout": "sum_logits"}),
    "mlmoc, all_logits": ("mlmoc", {"readout": "all_logits"}),
    "mlmoc, reference=linearized": ("mlmoc", {"reference": "linearized"}),
    "one_step": ("one_step", {}),
    "infinite_ntk": ("infinite_ntk", {}),
    "gp": ("gp", {}),
    "residual": ("residual", {}),
    "ev_gp": ("ev_gp", {}),
    "expected_gradient_length": ("expected_gradient_length", {}),
    "entropy": ("entropy", {}),
    "margin": ("margin", {}),
    "random": ("random", {}),
}
"""Rows of the table: a strategy and its options."""

COLUMNS = ("model", "method", "spearman", "least", "top tenth", "seconds")


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is computed.

    Attributes:
      num_labeled: L.
      num_pool: U, each of which is trained for.
      epochs: of the first training of each model; retraining has half as many.
      width: of the networks.
      seeds: over which the table averages.
    """

    num_labeled: int
    num_pool: int
    epochs: dict[str, int]
    width: int
    seeds: int


# Until the residual is a hundredth of a target's norm, or less.
FULL = Size(50, 100, {"mlp": 2000, "convnet": 600}, width=32, seeds=3)
QUICK = Size(12, 10, {"mlp": 20, "convnet": 20}, width=32, seeds=1)


def candidates(model: str, size: Size, seed: int) -> CandidateSet:
    """A network that has converged on its labels, and candidates."""
    dataset = data.load("digits")
    label_key, subset_key, weight_key, train_key = jax.random.split(jax.random.key(seed), 4)
    pool = Pool.start(label_key, len(dataset.x_train), size.num_labeled)
    ids = pool.subset(subset_key, size.num_pool)
    x_labeled, y_labeled = dataset.x_train[pool.labeled], dataset.y_train[pool.labeled]
    module = models.build(model, dataset.num_classes, width=size.width)
    network = training.initialize(weight_key, module, x_labeled)
    network, _ = training.fit(
        train_key, network, x_labeled, y_labeled, converging(size.epochs[model])
    )
    return CandidateSet(network, x_labeled, y_labeled, dataset.x_train[ids], ids)


def converging(epochs: int) -> TrainingConfig:
    """Full batches, and nothing that the theory does not have."""
    return TrainingConfig(
        epochs=epochs, batch_size=sys.maxsize, learning_rate=0.02, weight_decay=0.0
    )


def utilities(given: CandidateSet, strategy: str, **options: Any) -> np.ndarray:
    """Of a strategy that starts from a network and candidates, ``[U]``."""
    afresh = dataclasses.replace(given, options=LookaheadOptions(**options))
    return STRATEGIES[strategy](jax.random.key(0), afresh, 1).utilities


def measure(model: str, size: Size) -> list[dict[str, Any]]:
    """Rows of the table for one model."""
    correlations: dict[str, list[float]] = {name: [] for name in METHODS}
    shares: dict[str, list[float]] = {name: [] for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(size.seeds):
        given = candidates(model, size, seed)
        truth = utilities(given, "naive", retraining=converging(size.epochs[model] // 2))
        for name, (strategy, options) in METHODS.items():
            start = time.perf_counter()
            values = utilities(given, strategy, **options)
            seconds[name].append(time.perf_counter() - start)
            correlations[name].append(agreement.spearman(values, truth))
            shares[name].append(agreement.shared_top(values, truth, math.ceil(len(truth) / 10)))
        print(f"{model}: seed {seed} done", flush=True)
    return [
        {
            "model": model,
            "method": name,
            "spearman": float(np.mean(correlations[name])),
            "least": min(correlations[name]),
            "top tenth": float(np.mean(shares[name])),
            "seconds": measuring.median(seconds[name]),
            "of seeds": correlations[name],
        }
        for name in METHODS
    ]


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Parses flags, measures, prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", default=",".join(FULL.epochs), help="separated by commas")
    parser.add_argument("--quick", action="store_true", help="seconds, and no meaning")
    parser.add_argument("--output", help="JSON file for the rows of the table")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else FULL
    rows = [row for model in options.models.split(",") for row in measure(model, size)]
    print(", ".join(f"{key} {value}" for key, value in dataclasses.asdict(size).items()))
    measuring.print_table(rows, COLUMNS)
    if options.output:
        facts = {**measuring.machine_facts(), **dataclasses.asdict(size)}
        measuring.write_json(options.output, rows, facts)
    return rows


if __name__ == "__main__":
    main()
