"""A query end to end: from images to the k examples to label, by every strategy.

    python -m experiments.benchmarks.query --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.query --quick           # digits; seconds

All strategies see one network and the same candidates, and begin each time with nothing computed.
Stages of the look-ahead are timed on their own, in the same rounds. Compilation is left out of the
times; it is what the first query of a process takes on top. Peak memory is what a first query adds
to a fresh process, compilation included; ``--quick`` measures it only with ``--memory``.

What would take hours is timed on a part and multiplied, as the column "timed on" says: strategies
that train for every candidate on a sample of the candidates, with outputs compared at all of them;
infinite-width kernels on fewer candidates, by the square of the number of examples. Their memory is
that of the part. ``bald`` sees the same weights with dropout, ``learning_loss`` with an untrained
loss-prediction module: neither changes a time.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network, kernels, lookahead
from ntk_al.acquisition import STRATEGIES, CandidateSet, Selection, Strategy, requirements
from ntk_al.lookahead import posterior
from ntk_al.types import Array, ArrayLike

from .harness import compilation, entry, memory, protocol, timing
from .harness.problem import Problem

BASELINE = "entropy"
STAGED = "mlmoc"
COLUMNS = ("query", "seconds", "ratio", "share", "compilation", "memory MiB", "timed on")


@dataclasses.dataclass(frozen=True)
class Query:
    """A query, or a part of one that stands for it.

    Attributes:
      candidates: with nothing computed yet.
      num_queried: k.
      factor: by which the time of this part is multiplied.
      part: what is timed, where it is not all.
    """

    candidates: CandidateSet
    num_queried: int
    factor: float = 1.0
    part: str | None = None

    def __call__(self, strategy: str) -> Selection:
        """The choice of a strategy that starts from images, labels and a network."""
        afresh = dataclasses.replace(self.candidates)
        return STRATEGIES[strategy](jax.random.key(0), afresh, self.num_queried)


class Sampled(CandidateSet):
    """Candidates of which few may be chosen, so that few are scored; all are evaluated."""

    num_available: ClassVar[int] = 2

    @property
    def available(self) -> np.ndarray:
        """The first ones."""
        return np.arange(len(self.x)) < self.num_available


def query(problem: Problem, strategy: str, sample: int) -> Query:
    """The query of one strategy, cut down where it would take hours.

    Args:
      problem: what is queried.
      strategy: a key of ``STRATEGIES``.
      sample: candidates that are really trained for; infinite kernels take a hundred times as many.
    """
    given = problem.candidates()
    given = dataclasses.replace(
        given, network=fitting_network(given.network, STRATEGIES[strategy], given.x)
    )
    num_pool, num_labeled = len(given.x), len(given.x_labeled)
    if STRATEGIES[strategy].retrains:
        values = {f.name: getattr(given, f.name) for f in dataclasses.fields(given) if f.init}
        limited = type("Limited", (Sampled,), {"num_available": sample})(**values)
        return Query(limited, 1, num_pool / sample, f"{sample} of {num_pool} candidates")
    few = 100 * sample
    if "infinite_twin" in STRATEGIES[strategy].needs and few < num_pool:
        part = dataclasses.replace(given, x=given.x[:few], ids=given.ids[:few])
        factor = ((num_labeled + num_pool) / (num_labeled + few)) ** 2
        return Query(part, problem.num_queried, factor, f"{few} of {num_pool} candidates")
    return Query(given, problem.num_queried)


def fitting_network(network: Network, strategy: Strategy, x: ArrayLike) -> Network:
    """The network with what a strategy needs of it, at no change of its weights."""
    if "dropout" in strategy.needs:
        return Network(network.module.clone(dropout=0.1), network.variables)
    return requirements.provide(strategy, jax.random.key(0), network, x)


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

    return {"kernel": kernel, "factorization and S": condition, "scores": scores}


def measure_problem(
    problem: Problem,
    strategies: Sequence[str],
    *,
    rounds: int,
    sample: int,
    peaks: dict[str, float],
) -> list[dict[str, Any]]:
    """The rows of the table: strategies, and after ``STAGED`` its stages.

    Args:
      problem: what is queried.
      strategies: keys of ``STRATEGIES``, with ``BASELINE`` among them.
      rounds: times are medians of so many.
      sample: see ``query``.
      peaks: peak memory of strategies, in MiB, as far as it is known.
    """
    queries = {name: query(problem, name, sample) for name in strategies}
    calls: dict[str, Callable[[], Any]] = {
        name: functools.partial(queries[name], name) for name in strategies
    }
    compiling = {name: compilation.timed(call)[1] for name, call in calls.items()}
    parts = stages(problem.candidates()) if STAGED in queries else {}
    for call in parts.values():
        timing.timed(call)
    times = timing.interleave({**calls, **parts}, rounds)
    seconds = timing.medians(times)
    for name in queries:
        seconds[name] *= queries[name].factor
    rows = []
    for name in queries:
        row = {
            "query": name,
            "seconds": seconds[name],
            "ratio": seconds[name] / seconds[BASELINE],
            "compilation": compiling[name],
            "memory MiB": peaks.get(name),
            "timed on": queries[name].part,
        }
        rows.append(row)
        if name == STAGED:
            rest = seconds[name] - sum(seconds[part] for part in parts)
            for part, duration in [*((part, seconds[part]) for part in parts), ("rest", rest)]:
                share = duration / seconds[name]
                rows.append({"query": f"  {part}", "seconds": duration, "share": share})
    return rows


def peak_memory(strategy: str, values: FlagValues) -> float:
    """MiB that the first query of a fresh process adds at its peak."""
    arguments = entry.same_flags(values, protocol.FLAGS)
    arguments.append(f"--memory_of={strategy}")
    return memory.of_fresh_process(__spec__.name, arguments) / memory.MIB


def memory_of(strategy: str, values: FlagValues) -> Callable[[], Any]:
    """The one call of a process whose memory is measured."""
    # Memory does not depend on the weights, and training would raise the peak.
    untrained = protocol.load(values, train=False)
    return functools.partial(query(untrained, strategy, 1), strategy)


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the table, and facts of the problem."""
    strategies = list(dict.fromkeys([*values.strategies, BASELINE]))
    # Before this process takes the accelerator's memory for itself.
    peaks = {name: peak_memory(name, values) for name in strategies} if values.memory else {}
    problem = protocol.load(values)
    rows = measure_problem(
        problem, strategies, rounds=values.rounds, sample=values.sample, peaks=peaks
    )
    return rows, problem.facts()


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    entry.define_names("strategies", STRATEGIES, "What is timed:", values)
    flags.DEFINE_integer("sample", 4, "Candidates that are trained for.", 1, flag_values=values)


QUICK = {
    # The small network has no stages from whose outputs losses could be predicted.
    "strategies": [name for name in STRATEGIES if "loss_prediction" not in STRATEGIES[name].needs],
    "memory": False,  # a process for each strategy takes minutes, however small the problem
}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, memory_of=memory_of)

if __name__ == "__main__":
    entry.main(BENCHMARK)
