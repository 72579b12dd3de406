"""Compares class probabilities made of a network's outputs by how honest they are.

    python -m experiments.benchmarks.calibration --data_dir=...   # twenty minutes on a CPU
    python -m experiments.benchmarks.calibration --datasets=digits,digits_noisy
    python -m experiments.benchmarks.calibration --quick          # seconds

Networks are trained with the squared loss on random labeled sets of several sizes. Each way to make
probabilities sees the labels and 1000 unlabeled points, and is judged on the test set by the
expected calibration error and by the log score. The noisy datasets add noise to all images, so that
even many labels leave many errors: there a network memorizes what it cannot know.

``calibrated`` is the default of the strategies. ``pool`` and ``held out`` are its two sources
alone, and ``T=0.15`` is one temperature for all. ``best`` maximizes the log score of the test set
itself. A probability below a millionth counts as a millionth.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import data, models, training
from ntk_al.lookahead import probabilities
from ntk_al.network import PREDICTIVES, Predictive, calibration
from ntk_al.network.features import last_features
from ntk_al.training import TrainingConfig

from .harness import entry

DATASETS = {
    "digits": ("digits", 0.0),
    "digits_noisy": ("digits", 1.0),
    "mnist": ("mnist", 0.0),
    "mnist_noisy": ("mnist", 1.5),
}
"""For each, the dataset and the standard deviation of the noise, relative to that of the pixels."""

COLUMNS = ("dataset", "labels", "probabilities", "accuracy", "temperature", "error", "log score")
NUM_BINS = 15
_EPOCHS = {"digits": 200, "mnist": 60}
_WIDTH = {"digits": 64, "mnist": 32}
_NUM_POOL, _NUM_TEST = 1000, 2000
_LEAST = 1e-6
_TEMPERATURES = np.geomspace(*calibration.BOUNDS, 121)


def calibration_error(p: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, Eq. 3).

    The confidence of a point is its largest probability. Points are sorted into bins (lower, upper]
    of equal width in confidence. The error is the mean over all points of |accuracy − mean
    confidence| in their bin.

    Args:
      p: probabilities, ``[N, C]``.
      labels: class ids, ``[N]``.
      num_bins: the number of bins.

    Examples:
      >>> calibration_error(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))
      0.0
    """
    confidence = p.max(1)
    surplus = (p.argmax(1) == labels) - confidence
    bins = np.ceil(confidence * num_bins).astype(int)
    return float(np.abs(np.bincount(bins, surplus)).sum() / len(labels))


def log_score(p: np.ndarray, labels: np.ndarray) -> float:
    """The mean of −log p(y | x), in nats; lower is better."""
    return float(-np.log(np.maximum(p[np.arange(len(labels)), labels], _LEAST)).mean())


def contestants(
    pool: np.ndarray, features: np.ndarray, labels: np.ndarray, num_classes: int
) -> Iterator[tuple[str, Predictive]]:
    """Yields every way to make probabilities by name.

    Args:
      pool: outputs at unlabeled points, ``[U, C]``.
      features: last features of the labeled points, ``[L, d]``.
      labels: their class ids, ``[L]``.
      num_classes: C.
    """
    of_pool = calibration.temperature_of_pool(pool)
    held_out = calibration.leave_one_out(features, np.eye(num_classes)[labels])
    yield "calibrated", Predictive(calibration.fit_temperature(held_out, labels, of_pool))
    yield "pool", Predictive(of_pool)
    yield "held out", Predictive(best_temperature(np.asarray(held_out), labels))
    yield "T=0.15", Predictive(0.15)
    for name in PREDICTIVES:
        if name != "calibrated":
            yield name, probabilities.of_name(name)


def best_temperature(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the best log score on these points."""
    scores = [
        log_score(np.asarray(Predictive(t).probabilities(outputs)), labels) for t in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(scores))])


def one_network(name: str, num_labeled: int, seed: int, values: FlagValues) -> dict[str, Any]:
    """Trains one network and judges every contestant; returns rows by contestant."""
    source, noise = DATASETS[name]
    dataset = data.load(source, values.data_dir, None)
    rng = np.random.default_rng(seed)
    scale = noise * dataset.x_train.std()

    def noisy(x: np.ndarray) -> np.ndarray:
        return (x + scale * rng.normal(size=x.shape)).astype(np.float32)

    order = rng.permutation(len(dataset.x_train))
    chosen, pool = order[:num_labeled], order[num_labeled:][:_NUM_POOL]
    x, y = noisy(dataset.x_train[chosen]), dataset.y_train[chosen]
    module = models.build("convnet", dataset.num_classes, width=values.width or _WIDTH[source])
    network = training.initialize(jax.random.key(seed), module, x)
    config = TrainingConfig(
        epochs=values.epochs or _EPOCHS[source],
        batch_size=16,
        learning_rate=0.1,
        weight_decay=5e-4,
        augmentation=dataset.augmentation,
    )
    network, _ = training.fit(jax.random.key(seed), network, x, y, config)
    outputs = np.asarray(network.predict(noisy(dataset.x_test[:_NUM_TEST])), np.float64)
    truth = np.asarray(dataset.y_test[:_NUM_TEST])
    known = (
        np.asarray(network.predict(noisy(dataset.x_train[pool])), np.float64),
        np.asarray(last_features(network, x), np.float64),
        y,
        dataset.num_classes,
    )
    found = dict(contestants(*known))
    found["best"] = Predictive(best_temperature(outputs, truth))
    accuracy = float((outputs.argmax(1) == truth).mean())
    judged = {}
    for method, predictive in found.items():
        p = np.asarray(predictive.probabilities(outputs))
        judged[method] = {
            "accuracy": accuracy,
            "temperature": np.nan if predictive.simplex else float(predictive.temperature),
            "error": calibration_error(p, truth),
            "log score": log_score(p, truth),
        }
    return judged


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table: means over seeds, and over everything at the end."""
    rows: list[dict[str, Any]] = []
    for name in values.datasets:
        for num_labeled in map(int, values.sizes):
            seeds = range(values.seed, values.seed + values.rounds)
            networks = [one_network(name, num_labeled, seed, values) for seed in seeds]
            for method in networks[0]:
                of_method = [network[method] for network in networks]
                means = {key: float(np.mean([m[key] for m in of_method])) for key in of_method[0]}
                row = {"dataset": name, "labels": num_labeled, "probabilities": method, **means}
                rows.append({**row, "of seeds": of_method})
            print(f"{name}, {num_labeled} labels: done", file=sys.stderr, flush=True)
    return [*rows, *overall(rows)], {"sizes": values.sizes, "datasets": values.datasets}


def overall(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Averages the rows of each way to make probabilities."""
    by_method = collections.defaultdict(list)
    for row in rows:
        by_method[row["probabilities"]].append(row)
    keys = ("accuracy", "temperature", "error", "log score")
    return [
        {
            "dataset": "all",
            "labels": "",
            "probabilities": method,
            **{key: float(np.mean([row[key] for row in of_method])) for key in keys},
            "largest error": max(row["error"] for row in of_method),
        }
        for method, of_method in by_method.items()
    ]


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    entry.define_names("datasets", DATASETS, "The datasets:", values)
    flags.DEFINE_list(
        "sizes", ["20", "50", "100", "200", "500"], "The numbers of labels.", flag_values=values
    )
    flags.DEFINE_string(
        "data_dir", None, "The folder of tensorflow-datasets, for MNIST.", flag_values=values
    )
    flags.DEFINE_integer("width", None, "The width of the networks.", 1, flag_values=values)
    flags.DEFINE_integer("epochs", None, "The epochs of training.", 1, flag_values=values)


QUICK = {"datasets": ["digits"], "sizes": ["20"], "width": 8, "epochs": 5, "rounds": 1}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, rounds=5)

if __name__ == "__main__":
    entry.main(BENCHMARK)
