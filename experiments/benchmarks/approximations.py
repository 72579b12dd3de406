"""Compares approximations of the look-ahead with what they approximate: retraining to convergence.

    python -m experiments.benchmarks.approximations            # twenty minutes on a CPU
    python -m experiments.benchmarks.approximations --quick    # seconds

Small networks are trained on the digits. Every candidate is then really added to the labels, with
its most likely label, and the trained network is trained further until it has converged again. The
change of its outputs at all candidates (MLMOC) is the truth. The table shows Spearman's rank
correlation of each strategy's utilities with the truth, and the share of the truth's top tenth that
is also in the strategy's top tenth. Both are means over rounds, each of which has its own seed; the
table also shows the smallest correlation.

The network first converges on its labels, so that the truth reflects only the candidate. Full
batches avoid the noise of SGD. Both trainings use neither augmentation nor weight decay, which the
theory does not include.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import sys
from typing import Any

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al.acquisition import STRATEGIES, LookaheadOptions

from ..config import Config
from .harness import agreement, entry, problem, timing
from .harness.problem import Problem

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
"""The rows of the table: for each, a strategy and its options."""

COLUMNS = ("model", "method", "spearman", "least", "top tenth", "seconds")


# Enough to reduce the residual to a hundredth of a target's norm or less.
EPOCHS = {"mlp": 2000, "convnet": 600}
"""The epochs of the first training of each model; retraining takes half as many."""


def converged(model: str, values: FlagValues, seed: int) -> Problem:
    """Makes a problem whose network has converged on its labels."""
    config = Config(
        dataset="digits",
        model=model,
        width=values.width,
        init_size=values.num_labeled,
        subset_size=values.num_pool,
        query_size=1,
        epochs=values.epochs or EPOCHS[model],
        batch_size=sys.maxsize,
        learning_rate=0.02,
        weight_decay=0.0,
        augmentation="none",
    )
    return problem.first_query(f"digits, {model}", config, seed=seed)


def utilities(given: Problem, strategy: str, **options: Any) -> np.ndarray:
    """Computes the utilities of a strategy, ``[U]``, with nothing computed beforehand."""
    candidates = dataclasses.replace(given.candidates(), options=LookaheadOptions(**options))
    return STRATEGIES[strategy](jax.random.key(0), candidates, 1).utilities


def measure_model(model: str, values: FlagValues) -> list[dict[str, Any]]:
    """Measures the rows of the table for one model."""
    correlations: dict[str, list[float]] = {name: [] for name in METHODS}
    shares: dict[str, list[float]] = {name: [] for name in METHODS}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for seed in range(values.seed, values.seed + values.rounds):
        given = converged(model, values, seed)
        epochs = given.training.epochs // 2
        retraining = dataclasses.replace(given.training, epochs=epochs)
        truth = utilities(given, "naive", retraining=retraining)
        for name, (strategy, options) in METHODS.items():
            duration, found = timing.timed(functools.partial(utilities, given, strategy, **options))
            seconds[name].append(duration)
            correlations[name].append(agreement.spearman(found, truth))
            shares[name].append(agreement.shared_top(found, truth, math.ceil(len(truth) / 10)))
        print(f"{model}: seed {seed} done", file=sys.stderr, flush=True)
    return [
        {
            "model": model,
            "method": name,
            "spearman": float(np.mean(correlations[name])),
            "least": min(correlations[name]),
            "top tenth": float(np.mean(shares[name])),
            "seconds": statistics.median(seconds[name]),
            "of seeds": correlations[name],
        }
        for name in METHODS
    ]


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table for all models; also returns the size of the problem."""
    rows = [row for model in values.models for row in measure_model(model, values)]
    return rows, {name: values[name].value for name in QUICK}


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    entry.define_names("models", EPOCHS, "The networks:", values)
    flags.DEFINE_integer("num_labeled", 50, "The number of labels.", 1, flag_values=values)
    flags.DEFINE_integer("num_pool", 100, "The number of candidates.", 2, flag_values=values)
    flags.DEFINE_integer("width", 32, "The width of the networks.", 1, flag_values=values)
    flags.DEFINE_integer(
        "epochs", None, f"Epochs of the first training; default: {EPOCHS}.", 2, flag_values=values
    )


QUICK = {"num_labeled": 12, "num_pool": 10, "width": 32, "epochs": 20, "rounds": 1}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK)

if __name__ == "__main__":
    entry.main(BENCHMARK)
