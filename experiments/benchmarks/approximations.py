"""Each approximation of look-ahead beside the real thing: retraining to convergence.

    python -m experiments.benchmarks.approximations            # twenty minutes on a CPU
    python -m experiments.benchmarks.approximations --quick    # seconds

Small networks on the embedded digits. Every candidate is really added to the labels, with its most
likely label, and the trained network is trained further until it has converged again; the change
of its outputs at all candidates (MLMOC) is the truth. The table holds Spearman's rank correlation
of each strategy's utilities with it, and which part of the truth's top tenth a strategy's own top
tenth holds: means over rounds, each of which has its own seed, and the least correlation.

The network is trained to convergence on its labels first, so that the truth is about the
candidate, and full batches leave no noise of SGD in it. Both trainings are without augmentation and
weight decay, which the theory does not have.
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
"""Rows of the table: a strategy and its options."""

COLUMNS = ("model", "method", "spearman", "least", "top tenth", "seconds")


# Until the residual is a hundredth of a target's norm, or less.
EPOCHS = {"mlp": 2000, "convnet": 600}
"""Of the first training of each model; retraining has half as many."""


def converged(model: str, values: FlagValues, seed: int) -> Problem:
    """A network that has converged on its labels, and candidates."""
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
    """Of a strategy that starts from a network and candidates, ``[U]``."""
    candidates = dataclasses.replace(given.candidates(), options=LookaheadOptions(**options))
    return STRATEGIES[strategy](jax.random.key(0), candidates, 1).utilities


def measure_model(model: str, values: FlagValues) -> list[dict[str, Any]]:
    """Rows of the table for one model."""
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
    """The rows of the table for all models, and the size of the problem."""
    rows = [row for model in values.models for row in measure_model(model, values)]
    return rows, {name: values[name].value for name in QUICK}


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    entry.define_names("models", EPOCHS, "Networks that are trained:", values)
    flags.DEFINE_integer("num_labeled", 50, "Labels.", 1, flag_values=values)
    flags.DEFINE_integer("num_pool", 100, "Candidates, all trained for.", 2, flag_values=values)
    flags.DEFINE_integer("width", 32, "Of the networks.", 1, flag_values=values)
    flags.DEFINE_integer(
        "epochs", None, f"Of the first training; default: {EPOCHS}.", 2, flag_values=values
    )


QUICK = {"num_labeled": 12, "num_pool": 10, "width": 32, "epochs": 20, "rounds": 1}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK)

if __name__ == "__main__":
    entry.main(BENCHMARK)
