"""Look-ahead from landmarks beside the whole kernel: time, and agreement of the ranking.

    python -m experiments.benchmarks.landmarks --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.landmarks --quick           # digits; seconds

Every query starts from images and a trained network, and ends with the k examples of highest MLMOC
score. Times do not include compilation. The row "chosen" lets the tolerance choose the number of
landmarks; the other rows have it fixed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from absl import flags
from absl.flags import FlagValues

from ntk_al import lookahead
from ntk_al.acquisition import STRATEGIES

from .harness import agreement, entry, protocol, timing
from .harness.problem import Problem

BASELINE, EXACT, CHOSEN = "entropy", "exact", "chosen"
COLUMNS = (
    "query",
    "landmarks",
    "seconds",
    "times entropy",
    "share of exact",
    "spearman",
    "shared top",
    "trace left",
    "agreement",
)


def measure_problem(problem: Problem, ranks: list[int], rounds: int) -> list[dict[str, Any]]:
    """Measures the rows of the table.

    Args:
      problem: the problem.
      ranks: the numbers of landmarks.
      rounds: the number of rounds; times are medians over them.
    """

    def select(**options: Any) -> lookahead.Selection:
        return lookahead.select(
            problem.network,
            problem.x_labeled,
            problem.y_labeled,
            problem.x_pool,
            problem.num_queried,
            batch_mode="top_k",
            **options,
        )

    def entropy() -> Any:
        given = problem.candidates()
        return STRATEGIES[BASELINE](jax.random.key(0), given, problem.num_queried)

    by_landmarks = functools.partial(select, approximation="landmarks")
    calls: dict[str, Callable[[], Any]] = {BASELINE: entropy, EXACT: select, CHOSEN: by_landmarks}
    for rank in ranks:
        calls[str(rank)] = functools.partial(by_landmarks, rank=rank)
    found = {name: call() for name, call in calls.items()}
    seconds = timing.medians(timing.interleave(calls, rounds))
    rows = []
    for name in calls:
        row: dict[str, Any] = {
            "query": name,
            "seconds": seconds[name],
            "times entropy": seconds[name] / seconds[BASELINE],
            "share of exact": seconds[name] / seconds[EXACT],
        }
        if name != BASELINE:
            how, scores = found[name].diagnostics, found[name].scores
            exact = found[EXACT].scores
            row["landmarks"] = how.landmarks
            row["trace left"], row["agreement"] = how.trace_left, how.agreement
            row["spearman"] = agreement.spearman(scores, exact)
            row["shared top"] = agreement.shared_top(scores, exact, problem.num_queried)
        rows.append(row)
    return rows


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    problem = protocol.load(values)
    ranks = [int(rank) for rank in values.ranks]
    return measure_problem(problem, ranks, values.rounds), problem.facts()


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    flags.DEFINE_list(
        "ranks", ["125", "250", "500", "1000"], "Numbers of landmarks.", flag_values=values
    )


BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick={"ranks": ["8", "32"]})

if __name__ == "__main__":
    entry.main(BENCHMARK)
