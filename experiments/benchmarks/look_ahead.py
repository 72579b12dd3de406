"""Measures what the look-ahead saves, compared with dense solves and with retraining.

    python -m experiments.benchmarks.look_ahead --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.look_ahead --quick           # digits; seconds

One run scores the same candidates with the same network by MLMOC in three ways:

- ``lookahead.score``, end to end.
- Dense solves use the same kernel without the block update: for each candidate, its pseudo-label is
  added to the labels, Eq. 11 of the paper is solved from scratch, and the solution is evaluated at
  all evaluation points.
- Naive retraining takes 15 epochs of SGD on the labels and the pseudo-label, starting each time
  from the network's own weights, and measures the change of outputs at all evaluation points.

The last two are timed on a sample of the candidates, and their times are scaled up. Times do not
include compilation. The first two compute the same scores in two ways; unless they agree, no time
is reported.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import kernels, lookahead, posterior, training
from ntk_al._utils import compat
from ntk_al.acquisition import CandidateSet
from ntk_al.training import TrainingConfig
from ntk_al.types import Array, ArrayLike, GramBlocks

from .harness import agreement, compilation, entry, protocol, timing
from .harness.problem import Problem

RETRAINING_EPOCHS = 15
TOLERANCE = 1e-4  # relative, for scores
LEAST_TO_RANK = 20  # a rank correlation of fewer candidates would be meaningless
COLUMNS = ("method", "seconds", "ratio", "timed on", "compilation", "difference", "spearman")


def dense_scores(
    blocks: GramBlocks, residual: ArrayLike, logits: ArrayLike, noise: ArrayLike, rows: ArrayLike
) -> Array:
    """Computes MLMOC directly from Eq. 11, in float64, with one enlarged system per candidate.

    Args:
      blocks: kernel of the labeled points and the candidates, which are also evaluation points.
      residual: R = Y − f(X_L), ``[L, C]``.
      logits: f at the candidates, ``[U, C]``.
      noise: λ.
      rows: the rows of the candidates to score, ``[B]``.

    Returns:
      Their scores, ``[B]``, in float64.
    """
    with compat.enable_x64(True):
        wide = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.float64), (blocks, residual, logits, noise)
        )
        return _dense_scores(*wide, jnp.asarray(rows))


@jax.jit
def _dense_scores(
    blocks: GramBlocks, residual: Array, logits: Array, noise: Array, rows: Array
) -> Array:
    def score(j: Array) -> Array:
        column = blocks.labeled_pool[:, j, None]
        theta = jnp.block([[blocks.labeled, column], [column.T, blocks.pool_diagonal[j]]])
        pseudo_label = jax.nn.one_hot(logits[j].argmax(), logits.shape[1], dtype=logits.dtype)
        enlarged = jnp.vstack([residual, pseudo_label - logits[j]])
        solution = jnp.linalg.solve(theta + noise * jnp.eye(len(theta)), enlarged)
        cross = jnp.vstack([blocks.labeled_eval, blocks.eval_pool[:, j]])
        return jnp.linalg.norm(cross.T @ solution, axis=1).sum()

    return jax.lax.map(score, rows)


def retrained_score(candidates: CandidateSet, row: int, config: TrainingConfig) -> float:
    """Computes MLMOC of one candidate by further training with its pseudo-label."""
    logits = candidates.network_logits
    network, _ = training.fit(
        # All candidates share a key, so that scores do not differ because of the order of the
        # examples or their augmentation.
        jax.random.key(0),
        candidates.network,
        np.concatenate([candidates.x_labeled, candidates.x[row : row + 1]]),
        np.append(candidates.y_labeled, int(logits[row].argmax())),
        config,
    )
    return float(jnp.linalg.norm(network.predict(candidates.x) - logits, axis=1).sum())


def measure_problem(
    problem: Problem, retraining: TrainingConfig, *, rounds: int, dense_sample: int, sample: int
) -> list[dict[str, Any]]:
    """Scores with all methods and measures the rows of the table.

    Args:
      problem: the problem.
      retraining: the settings of naive retraining.
      rounds: the number of rounds; times are medians over them.
      dense_sample: the number of candidates for which each round solves a dense system.
      sample: the number of candidates, over all rounds, for which the network is retrained.

    Raises:
      ArithmeticError: if ``lookahead.score`` and the dense solves do not agree.
    """
    candidates, num_pool = problem.candidates(), len(problem.x_pool)
    order = np.random.default_rng(0).permutation(num_pool)
    dense_rows, naive_rows = order[:dense_sample], order[:sample]
    shares = iter(np.array_split(naive_rows, rounds))
    residual, logits = candidates.residual, candidates.network_logits
    naive_scores: list[float] = []
    naive_compilation: list[float] = []

    def score() -> Array:
        return lookahead.score(
            candidates.network, candidates.x_labeled, candidates.y_labeled, candidates.x
        )

    def kernel() -> GramBlocks:
        return kernels.blocks(candidates.network, candidates.x_labeled, candidates.x)

    compiling: dict[str, float] = {}
    _, compiling["look-ahead"], scores = compilation.timed(score)
    blocks = kernel()
    noise = posterior.factorize(blocks.labeled, residual).noise

    def update() -> Array:
        return lookahead.score_posterior(posterior.condition(blocks, residual, logits))

    def dense() -> Array:
        return dense_scores(blocks, residual, logits, noise, dense_rows)

    def retrain() -> None:
        with compilation.compile_times() as durations:
            naive_scores.extend(retrained_score(candidates, j, retraining) for j in next(shares))
        naive_compilation.append(sum(durations))  # fit may compile its schedule

    update()
    _, compiling["dense"], reference = compilation.timed(dense)
    difference = agreement.check_scores(scores[dense_rows], reference, TOLERANCE)
    _, compiling["naive"], _ = compilation.timed(
        lambda: retrained_score(candidates, int(naive_rows[0]), retraining)
    )

    times = timing.interleave(
        {"look-ahead": score, "kernel": kernel, "update": update, "dense": dense, "naive": retrain},
        rounds,
    )
    seconds = timing.medians(times)
    dense_seconds = seconds["dense"] * num_pool / len(dense_rows)
    other_seconds = seconds["look-ahead"] - seconds["update"]
    naive_seconds = sum(times["naive"]) - sum(naive_compilation)

    def row(method: str, seconds_of_all: float, timed_on: int, **more: Any) -> dict[str, Any]:
        ratio = seconds_of_all / seconds["look-ahead"]
        of = f"{timed_on} of {num_pool}"
        return {"method": method, "seconds": seconds_of_all, "ratio": ratio, "timed on": of, **more}

    return [
        row("look-ahead", seconds["look-ahead"], num_pool, compilation=compiling["look-ahead"]),
        row("  kernel alone", seconds["kernel"], num_pool),
        row("  block update alone", seconds["update"], num_pool),
        row("dense solves", other_seconds + dense_seconds, len(dense_rows)),
        row(
            "  solves alone",
            dense_seconds,
            len(dense_rows),
            compilation=compiling["dense"],
            difference=difference,
        ),
        row(
            "naive retraining",
            naive_seconds * num_pool / len(naive_rows),
            len(naive_rows),
            compilation=compiling["naive"],
            spearman=(
                agreement.spearman(np.asarray(scores)[naive_rows], naive_scores)
                if len(naive_rows) >= LEAST_TO_RANK
                else None
            ),
        ),
    ]


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    problem = protocol.load(values)
    retraining = dataclasses.replace(
        problem.training,
        epochs=RETRAINING_EPOCHS,
        learning_rate=values.retraining_rate or problem.training.learning_rate,
    )
    rows = measure_problem(
        problem,
        retraining,
        rounds=values.rounds,
        dense_sample=values.dense_sample,
        sample=values.sample,
    )
    return rows, problem.facts()


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    flags.DEFINE_integer("sample", 8, "Candidates for retraining.", 1, flag_values=values)
    flags.DEFINE_integer("dense_sample", 200, "Candidates for solving.", 1, flag_values=values)
    flags.DEFINE_float(
        "retraining_rate",
        None,
        "The peak learning rate of retraining; default: that of the first training.",
        flag_values=values,
    )


BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags)

if __name__ == "__main__":
    entry.main(BENCHMARK)
