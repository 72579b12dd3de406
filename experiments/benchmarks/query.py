"""A query end to end: from images to the k examples to label, by every strategy.

    python -m experiments.benchmarks.query --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.query --quick           # digits; seconds

All strategies see one network and the same candidates, and begin each time with nothing computed.
Stages of the look-ahead are timed on their own, in the same rounds. Compilation is left out of the
times; it is what the first query of a process takes on top. Peak memory is what a first query adds
to a fresh process, compilation included.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax

from experiments.benchmarks import compilation, measuring, protocol
from experiments.benchmarks.protocol import Problem
from ntk_al import kernels, lookahead, posterior
from ntk_al.acquisition import STRATEGIES, CandidateSet, Selection
from ntk_al.types import Array

CHOICES = ("mlmoc", "emoc", "eer", "flips", "residual", "entropy", "margin")
BASELINE = "entropy"
STAGED = "mlmoc"
COLUMNS = ("query", "seconds", "ratio", "share", "compilation", "memory MiB")


def query(problem: Problem, strategy: str) -> Selection:
    """The choice of a strategy that starts from images, labels and a network."""
    candidates = problem.candidates
    afresh = CandidateSet(
        candidates.network,
        candidates.x_labeled,
        candidates.y_labeled,
        candidates.x,
        candidates.ids,
    )
    return STRATEGIES[strategy](jax.random.key(0), afresh, problem.num_queried)


def stages(candidates: CandidateSet) -> dict[str, Callable[[], Any]]:
    """The stages of a look-ahead query, each with what the stages before it leave."""
    blocks = kernels.blocks(candidates.network, candidates.x_labeled, candidates.x)
    residual, logits = candidates.residual, candidates.network_logits
    belief = posterior.condition(blocks, residual, logits)

    def kernel() -> Any:
        return kernels.blocks(candidates.network, candidates.x_labeled, candidates.x)

    def condition() -> Any:
        return posterior.condition(blocks, residual, logits)

    def scores() -> Array:
        return lookahead.score_posterior(belief, criterion=STAGED)

    return {"kernel": kernel, "factorisation and S": condition, "scores": scores}


def measure(
    problem: Problem, strategies: Sequence[str], *, rounds: int, memory: dict[str, float]
) -> list[dict[str, Any]]:
    """The rows of the table: strategies, and after ``STAGED`` its stages.

    Args:
      problem: what is queried.
      strategies: keys of ``STRATEGIES``, with ``BASELINE`` among them.
      rounds: times are medians of so many.
      memory: peak memory of strategies, in MiB, as far as it is known.
    """
    queries = {name: functools.partial(query, problem, name) for name in strategies}
    compiling = {name: compilation.timed(call)[1] for name, call in queries.items()}
    parts = stages(problem.candidates) if STAGED in queries else {}
    for call in parts.values():
        measuring.timed(call)
    times = measuring.interleave({**queries, **parts}, rounds)
    seconds = {name: measuring.median(values) for name, values in times.items()}
    rows = []
    for name in queries:
        ratio = seconds[name] / seconds[BASELINE]
        row = {"query": name, "seconds": seconds[name], "ratio": ratio}
        rows.append({**row, "compilation": compiling[name], "memory MiB": memory.get(name)})
        if name == STAGED:
            rest = seconds[name] - sum(seconds[part] for part in parts)
            for part, duration in [*((part, seconds[part]) for part in parts), ("rest", rest)]:
                share = duration / seconds[name]
                rows.append({"query": f"  {part}", "seconds": duration, "share": share})
    return rows


def peak_memory(strategy: str, arguments: Sequence[str]) -> float:
    """MiB that the first query of a fresh process adds at its peak."""
    command = [sys.executable, "-m", __spec__.name, *arguments, f"--memory_of={strategy}"]
    return measuring.peak_memory_of(command) / 2**20


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Parses flags, measures, prints the table; returns its rows."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    protocol.add_arguments(parser)
    parser.add_argument("--strategies", default=",".join(CHOICES), help="separated by commas")
    parser.add_argument(
        "--memory", default="mlmoc,residual,entropy", help="strategies whose memory is measured"
    )
    parser.add_argument("--memory_of", choices=CHOICES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of:
        # Memory does not depend on the weights, and training would raise the peak.
        untrained = protocol.load(options, train=False)
        measuring.print_peak_memory(lambda: query(untrained, options.memory_of))
        return []
    strategies = list(dict.fromkeys([*options.strategies.split(","), BASELINE]))
    # Before this process takes the accelerator's memory for itself.
    memory = {s: peak_memory(s, arguments) for s in options.memory.split(",") if s in strategies}
    problem = protocol.load(options)
    rows = measure(problem, strategies, rounds=options.rounds, memory=memory)
    protocol.report(problem, rows, COLUMNS, options)
    return rows


if __name__ == "__main__":
    main()
