"""Samples of evaluation points at equal size: how well MLMOC ranks with them as with all points.

    python -m experiments.benchmarks.evaluation_points --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.evaluation_points --quick           # digits; seconds

Scores sum over evaluation points, so a sample of them with weights estimates the score. Samples are
uniform, the examples nearest to the centers of k-means on last features (weighted by the sizes of
clusters), or drawn half uniformly and half in proportion to leverages or to posterior variances
(weighted by the inverse of the probability). The term of a candidate itself is exact in each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import kernels
from ntk_al.lookahead import posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.network.features import last_features

from .harness import agreement, entry, protocol
from .harness.problem import Problem

COLUMNS = ("sample", "points", "spearman", "shared top")

Sample = tuple[np.ndarray, np.ndarray]
"""Rows of evaluation points, each once, and their weights."""


class Given:
    """A posterior, and MLMOC of its candidates from any evaluation points (Eq. 13, plainly)."""

    def __init__(self, belief: Posterior, features: np.ndarray) -> None:
        self.covariance = np.asarray(belief.covariance, np.float64)
        self.features = features
        self.num = len(self.covariance)
        logits, mean = np.asarray(belief.logits, np.float64), np.asarray(belief.mean, np.float64)
        self._offset = mean - logits
        self._error = np.eye(logits.shape[1])[logits.argmax(1)] - mean
        self._gain = self.covariance / (self.covariance.diagonal() + float(belief.noise))

    def terms(self, rows: np.ndarray) -> np.ndarray:
        """‖b(x) + w(x, j) e_j‖ at some points x for all candidates j, ``[n, U]``."""
        b, w, e = self._offset[rows], self._gain[rows], self._error
        squares = np.square(b).sum(1)[:, None] + 2 * w * (b @ e.T) + w**2 * np.square(e).sum(1)
        return np.sqrt(np.maximum(squares, 0))

    def scores(self, sample: Sample | None) -> np.ndarray:
        """The scores of all candidates from a sample of evaluation points, or from all of them."""
        everything = np.arange(self.num)
        if sample is None:
            return self.terms(everything).sum(0)
        rows, weights = sample
        weighted = weights[:, None] * self.terms(rows)
        own_weights, own_terms = np.zeros(self.num), np.zeros(self.num)
        own_weights[rows], own_terms[rows] = weights, weighted[np.arange(len(rows)), rows]
        step = self._gain.diagonal()[:, None] * self._error
        own = np.linalg.norm(self._offset + step, axis=1)
        others = weights.sum() - own_weights
        return own + (weighted.sum(0) - own_terms) * (self.num - 1) / others


def uniform(rng: np.random.Generator, given: Given, size: int) -> Sample:
    """Points without replacement."""
    return rng.choice(given.num, size, replace=False), np.full(size, given.num / size)


def clusters(rng: np.random.Generator, given: Given, size: int) -> Sample:
    """The examples nearest to the centers of k-means on last features."""
    from sklearn.cluster import KMeans

    seed = int(rng.integers(2**31))
    found = KMeans(size, n_init=1, random_state=seed).fit(given.features)
    nearest = found.transform(given.features).argmin(0)
    return _merged(nearest, np.bincount(found.labels_, minlength=size).astype(float))


def leverages(rng: np.random.Generator, given: Given, size: int) -> Sample:
    """In proportion to the diagonal of S (S + s̄I)⁻¹, with the mean variance s̄."""
    s = given.covariance
    damped = s + s.diagonal().mean() * np.eye(given.num)
    return _in_proportion(rng, np.linalg.solve(damped, s).diagonal(), size)


def variances(rng: np.random.Generator, given: Given, size: int) -> Sample:
    """In proportion to posterior variances."""
    return _in_proportion(rng, given.covariance.diagonal(), size)


SAMPLES: dict[str, Callable[[np.random.Generator, Given, int], Sample]] = {
    "uniform": uniform,
    "k-means": clusters,
    "leverages": leverages,
    "variances": variances,
}


def measure_problem(
    problem: Problem, sizes: list[int], draws: int, seed: int
) -> list[dict[str, Any]]:
    """Measures the rows of the table: means over draws of each sample."""
    network, x = problem.network, problem.x_pool
    theta = kernels.blocks(network, problem.x_labeled, x)
    logits = network.predict(x)
    targets = np.eye(logits.shape[1], dtype=np.float32)[problem.y_labeled]
    residual = targets - np.asarray(network.predict(problem.x_labeled))
    belief = posterior.condition(theta, residual, logits)
    given = Given(belief, np.asarray(last_features(network, x)))
    whole = given.scores(None)
    rows = []
    for size in sizes:
        for name, sample in SAMPLES.items():
            found = [
                given.scores(sample(np.random.default_rng([seed, draw]), given, size))
                for draw in range(draws)
            ]
            rows.append(
                {
                    "sample": name,
                    "points": size,
                    "spearman": float(np.mean([agreement.spearman(s, whole) for s in found])),
                    "shared top": float(
                        np.mean(
                            [agreement.shared_top(s, whole, problem.num_queried) for s in found]
                        )
                    ),
                }
            )
    return rows


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    problem = protocol.load(values)
    sizes = [int(size) for size in values.sizes]
    return measure_problem(problem, sizes, values.draws, values.seed), problem.facts()


def _in_proportion(rng: np.random.Generator, p: np.ndarray, size: int) -> Sample:
    p = 0.5 * p / p.sum() + 0.5 / len(p)
    rows = rng.choice(len(p), size, p=p)
    return _merged(rows, 1 / (size * p[rows]))


def _merged(rows: np.ndarray, weights: np.ndarray) -> Sample:
    """Adds up the weights of rows that were drawn several times."""
    unique, place = np.unique(rows, return_inverse=True)
    return unique, np.bincount(place, weights)


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    flags.DEFINE_list("sizes", ["50", "150", "400"], "Sizes of a sample.", flag_values=values)
    flags.DEFINE_integer("draws", 10, "How many samples are averaged.", 1, flag_values=values)


BENCHMARK = entry.Benchmark(
    measure, COLUMNS, define_flags, quick={"sizes": ["8", "20"], "draws": 2}
)

if __name__ == "__main__":
    entry.main(BENCHMARK)
