"""Times a whole query by every strategy, from images to the k examples to label.

    python -m experiments.benchmarks.query --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.query --quick           # digits; seconds

All strategies get the same network and the same candidates, and every query starts with nothing
computed. The stages of the look-ahead are also timed separately, in the same rounds. Times do not
include compilation; the column "compilation" shows what the first query of a process takes in
addition. Peak memory is what the first query adds to a fresh process, including compilation;
``--quick`` measures it only with ``--memory``.

Queries that would take hours are timed on a part of the problem, and the times are scaled up; the
column "timed on" describes the part. Strategies that train for every candidate do so for a sample
of the candidates, but compare outputs at all of them. Infinite-width kernels use fewer candidates,
and their times are scaled by the square of the number of examples. The reported memory of such a
query is that of the part. ``bald`` and ``batchbald`` get the same weights with dropout, and
``learning_loss`` gets them with an untrained loss-prediction module; neither affects the times.
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

from ntk_al import Network, kernels, lookahead, posterior
from ntk_al.acquisition import STRATEGIES, CandidateSet, Selection, Strategy, requirements
from ntk_al.types import Array, ArrayLike

from .harness import compilation, entry, memory, protocol, timing
from .harness.problem import Problem

BASELINE = "entropy"
STAGED = "mlmoc"
COLUMNS = ("query", "seconds", "ratio", "share", "compilation", "memory MiB", "timed on")


@dataclasses.dataclass(frozen=True)
class Query:
    """A query, or a part of one from which its time is extrapolated.

    Attributes:
      candidates: the candidates, with nothing computed yet.
      num_queried: k.
      factor: the factor by which the time of the part is multiplied.
      part: a description of the part; ``None`` if it is the whole query.
    """

    candidates: CandidateSet
    num_queried: int
    factor: float = 1.0
    part: str | None = None

    def __call__(self, strategy: str) -> Selection:
        """Runs a strategy that starts from images, labels and a network."""
        afresh = dataclasses.replace(self.candidates)
        return STRATEGIES[strategy](jax.random.key(0), afresh, self.num_queried)


class Sampled(CandidateSet):
    """Candidates of which only a few may be chosen and are scored; outputs are compared at all."""

    num_available: ClassVar[int] = 2

    @property
    def available(self) -> np.ndarray:
        """A mask of the first candidates, ``[U]``."""
        return np.arange(len(self.x)) < self.num_available


def query(problem: Problem, strategy: str, sample: int) -> Query:
    """Makes the query of one strategy, or a part of it if the query would take hours.

    Args:
      problem: the problem.
      strategy: a key of ``STRATEGIES``.
      sample: the number of candidates in a part for strategies that train for every candidate;
        those with infinite-width kernels get a hundred times as many.
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
    """Adds what a strategy needs to a network, without changing its weights."""
    if "dropout" in strategy.needs:
        return Network(network.module.clone(dropout=0.1), network.variables)
    return requirements.provide(strategy, jax.random.key(0), network, x)


def stages(candidates: CandidateSet) -> dict[str, Callable[[], Any]]:
    """Makes a call for each stage of a look-ahead query, with the results of earlier stages."""
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
    """Measures the rows of the table: all strategies, with the stages of ``STAGED`` after its row.

    Args:
      problem: the problem.
      strategies: keys of ``STRATEGIES``, including ``BASELINE``.
      rounds: the number of rounds; times are medians over them.
      sample: see ``query``.
      peaks: the peak memory of strategies in MiB, if it was measured.
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
    """Measures the peak memory, in MiB, that the first query adds to a fresh process."""
    arguments = entry.same_flags(values, protocol.FLAGS)
    arguments.append(f"--memory_of={strategy}")
    return memory.of_fresh_process(__spec__.name, arguments) / memory.MIB


def memory_of(strategy: str, values: FlagValues) -> Callable[[], Any]:
    """Makes the call whose memory a fresh process measures."""
    # Memory does not depend on the weights, and training would raise the peak.
    untrained = protocol.load(values, train=False)
    return functools.partial(query(untrained, strategy, 1), strategy)


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    strategies = list(dict.fromkeys([*values.strategies, BASELINE]))
    # Memory comes first: later, this process holds the accelerator's memory itself.
    peaks = {name: peak_memory(name, values) for name in strategies} if values.memory else {}
    problem = protocol.load(values)
    rows = measure_problem(
        problem, strategies, rounds=values.rounds, sample=values.sample, peaks=peaks
    )
    return rows, problem.facts()


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    entry.define_names("strategies", STRATEGIES, "The strategies to time:", values)
    flags.DEFINE_integer("sample", 4, "Candidates for real training.", 1, flag_values=values)


QUICK = {
    # Losses are predicted from the outputs of stages, and the small network has no stages.
    "strategies": [name for name in STRATEGIES if "loss_prediction" not in STRATEGIES[name].needs],
    "memory": False,  # starting a process for each strategy takes minutes even for small problems
}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, memory_of=memory_of)

if __name__ == "__main__":
    entry.main(BENCHMARK)
