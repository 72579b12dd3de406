"""Compares the memory that the planner predicts with what the kernel takes, on random cases.

    python -m experiments.benchmarks.memory            # 45 minutes on 2 cores
    python -m experiments.benchmarks.memory --quick    # a minute

Each case is a random network, random sets of samples, and a random budget between the least that is
enough and what the engine takes if memory is plentiful. ``taken`` is the most that arrays and XLA's
temporaries take at any time, from live arrays and XLA's analysis of each program that ran, and
``program`` is the one that was running then. The network itself, the inputs that the caller holds,
compilation, and freed pages that an allocator keeps do not count. ``resident`` is what another
call adds to the resident set of the process, after everything is compiled and freed pages are given
back (median of three). This benchmark runs under Linux with the GNU C library.
"""

from __future__ import annotations

import ctypes
import gc
import math
import re
import statistics
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FlagValues
from flax import nnx

from ntk_al import Network, kernels, models, training
from ntk_al.kernels.empirical.plan import BudgetError

from .harness import account, entry, memory, vision_transformer
from .harness.account import Account
from .harness.memory import MIB

COLUMNS = (
    "case",
    "network",
    "samples",
    "budget",
    "predicted",
    "taken",
    "predicted / taken",
    "program",
    "resident",
    "plan",
)

Inputs = Callable[[int], np.ndarray]
_NEXT_BUDGET = 1.02


def _mlp(rng: np.random.Generator, scale: float) -> tuple[str, Network, Inputs]:
    features, width = _between(rng, 20, 1000 * scale), _between(rng, 16, 1000 * scale)
    return f"mlp, width {width}, {features} features", *_of_model(
        rng, "mlp", (features,), width=width
    )


def _convnet(rng: np.random.Generator, scale: float) -> tuple[str, Network, Inputs]:
    size, width = _between(rng, 8, 32 * scale), _between(rng, 4, 64 * scale)
    return f"convnet, width {width}, {size} pixels", *_of_model(
        rng, "convnet", (size, size, 3), width=width
    )


def _wide_resnet(rng: np.random.Generator, scale: float) -> tuple[str, Network, Inputs]:
    size, width = 4 * _between(rng, 2, 7 * scale), 8 * _between(rng, 1, 12 * scale)
    return f"wide_resnet, width {width}, {size} pixels", *_of_model(
        rng, "wide_resnet", (size, size, 1), width=width
    )


def _transformer(rng: np.random.Generator, scale: float) -> tuple[str, Network, Inputs]:
    patches, width = _between(rng, 2, 6 * scale), 8 * _between(rng, 1, 16 * scale)
    shape = (4 * patches, 4 * patches, 3)
    module = vision_transformer.VisionTransformer(10, width, shape, nnx.Rngs(0), depth=2)
    name = f"transformer, width {width}, {patches**2} patches"
    return name, Network.from_nnx(module), _normal(rng, shape)


def _text(rng: np.random.Generator, scale: float) -> tuple[str, Network, Inputs]:
    words, length, width = (_between(rng, low, high * scale) for low, high in TEXT)
    table = rng.normal(size=(words, width)).astype(np.float32)
    head = rng.normal(size=(width, 5)).astype(np.float32)

    def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        return jnp.tanh(params["table"][x]).mean(1) @ params["head"]

    name = f"text, {words} words, length {length}, width {width}"
    network = Network.from_function(logits, {"table": table, "head": head})
    return name, network, lambda num: rng.integers(0, words, (num, length), dtype=np.int32)


TEXT = ((50, 5000), (4, 40), (8, 200))
# A transformer takes minutes to compile.
NETWORKS = (
    *(_mlp, _convnet, _wide_resnet, _transformer, _text),
    *(_mlp, _convnet, _wide_resnet, _convnet, _text),
)


def random_case(seed: int, scale: float) -> tuple[str, Callable[[int | None], Any], list[int]]:
    """Draws a case.

    Returns:
      The name of the network, a function of a budget that computes the kernel, and the numbers of
      samples.
    """
    rng = np.random.default_rng(seed)
    name, network, inputs = NETWORKS[seed % len(NETWORKS)](rng, scale)
    sizes = [_between(rng, 5, most * scale) for most in (500, 2000, 1000)]
    if rng.random() < 0.5:
        sizes.pop()  # the candidates are the evaluation points
    sets = [inputs(size) for size in sizes]
    precision = str(rng.choice(kernels.PRECISIONS, p=(0.55, 0.15, 0.15, 0.15)))

    def call(memory_budget: int | None) -> Any:
        blocks = kernels.blocks(network, *sets, precision=precision, memory_budget=memory_budget)
        return jax.block_until_ready(blocks)

    return f"{name}, {precision}", call, sizes


def one_case(seed: int, scale: float) -> dict[str, Any]:
    """Measures one case."""
    name, call, sizes = random_case(seed, scale)
    least, most = _least(call), _account(call, None)
    assert most is not None
    assert most.plan is not None
    drawn = np.random.default_rng([seed, 1]).uniform()
    budget = math.exp((1 - drawn) * math.log(least) + drawn * math.log(most.plan.peak_bytes))
    while (found := _account(call, int(budget))) is None:
        budget *= _NEXT_BUDGET
    assert found.plan is not None
    return {
        "case": seed,
        "network": name,
        "samples": "+".join(map(str, sizes)),
        "budget": budget / MIB,
        "predicted": found.plan.peak_bytes / MIB,
        "taken": found.peak_bytes / MIB,
        "predicted / taken": found.plan.peak_bytes / found.peak_bytes,
        "predicted / taken without a budget": most.plan.peak_bytes / most.peak_bytes,
        "program": found.program,
        "program without a budget": most.program,
        "resident": _resident(lambda: call(int(budget))) / MIB,
        "plan": str(found.plan).split(";")[0],
    }


def _least(call: Callable[[int | None], Any]) -> int:
    """Returns about the smallest budget that is enough, from what the refusal of less says."""
    try:
        call(1)
    except BudgetError as error:
        (mebibytes,) = re.findall(r"needs about (\d+) MiB", str(error))
        return MIB * int(mebibytes)
    raise AssertionError("a budget of one byte was enough")


def _account(call: Callable[[int | None], Any], budget: int | None) -> Account | None:
    """Accounts for one call; ``None`` if the budget is too small."""
    try:
        with account.watched() as found:
            call(budget)
    except BudgetError:
        return None
    return found


def _resident(call: Callable[[], Any]) -> int:
    """Measures what a call adds to a process that has given back freed pages; median of three."""

    def once() -> int:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return memory.added_by(call)

    return int(statistics.median(once() for _ in range(3)))


def _of_model(
    rng: np.random.Generator, model: str, shape: tuple[int, ...], **options: int
) -> tuple[Network, Inputs]:
    inputs = _normal(rng, shape)
    return _initialized(rng, models.build(model, 10, **options), inputs), inputs


def _initialized(rng: np.random.Generator, module: Any, inputs: Inputs) -> Network:
    return training.initialize(jax.random.key(int(rng.integers(1000))), module, inputs(2))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Inputs:
    return lambda num: rng.normal(size=(num, *shape)).astype(np.float32)


def _between(rng: np.random.Generator, low: float, high: float) -> int:
    """Draws an integer, each scale of which is as likely as the others."""
    return round(low * max(1, high / low) ** rng.uniform())


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table, and says how often the prediction was enough."""
    rows = []
    for seed in range(values.seed, values.seed + values.num_cases):
        rows.append(one_case(seed, values.scale))
        print(rows[-1], file=sys.stderr, flush=True)
        jax.clear_caches()
    ratios = np.array([row["predicted / taken"] for row in rows])
    resident = np.array([row["resident"] / row["predicted"] for row in rows])
    return rows, {
        "share of cases that took no more than predicted": float(np.mean(ratios >= 1)),
        "predicted / taken: smallest, median, largest": _spread(ratios),
        "resident / predicted: smallest, median, largest": _spread(resident),
    }


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    flags.DEFINE_integer("num_cases", 100, "The number of cases.", 1, flag_values=values)
    flags.DEFINE_float("scale", 1.0, "The size of the largest cases.", 0.0, flag_values=values)


QUICK = {"num_cases": 2, "scale": 0.1}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK)

if __name__ == "__main__":
    entry.main(BENCHMARK)
