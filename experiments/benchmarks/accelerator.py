"""Times a look-ahead query at the size of the CIFAR100 protocol, and how well it uses the device.

    python -m experiments.benchmarks.accelerator --out=FILE       # an accelerator; minutes
    python -m experiments.benchmarks.accelerator --quick          # a CPU; seconds
    python -m experiments.benchmarks.accelerator --reduce=20      # anything in between

The network is a ResNet18 with random weights. There are 10000 labeled examples and 6000 candidates,
which are synthetic images made on the device with random labels. Times do not depend on what the
network has learned.

The Gram matrix is credited with N²/2 inner products of rows of P entries, with N = L + U. This is
N²/2 · 2P operations. The count is nominal: it leaves out the computation of the rows, and an
implementation that needs fewer operations can exceed the rate of the matrix units. That rate is
measured in the same run, with the product of two large square matrices. A smaller problem of the
same kind shows how well each precision preserves the ranking.

The column "posterior" is the time of ``posterior.condition``, which computes the factorization and
S. The factorization is also timed alone.
"""

from __future__ import annotations

import resource
import statistics
import sys
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FlagValues
from jax.lax import DotAlgorithmPreset, Precision

from ntk_al import kernels, lookahead, models, posterior, training
from ntk_al.types import Array

from .harness import agreement, compilation, entry, problem, timing
from .harness.problem import Problem

PRECISIONS: dict[str, tuple[Any, Any]] = {
    "float32": (jnp.float32, Precision.HIGHEST),
    "bfloat16_3x": (jnp.float32, DotAlgorithmPreset.BF16_BF16_F32_X3),
    "tensorfloat32": (jnp.float32, DotAlgorithmPreset.TF32_TF32_F32),
    "bfloat16": (jnp.bfloat16, None),
}
"""For each precision of the kernel, the dtype and the ``precision`` argument of a square product
that runs on the same units."""

QUICK: dict[str, Any] = {
    "model": "convnet",
    "num_labeled": 24,
    "num_pool": 16,
    "num_labeled_small": 24,
    "num_pool_small": 16,
    "width": 8,
    "image_size": 8,
    "square": 256,
}
REDUCED = QUICK.keys() - {"model", "image_size"}
COLUMNS = (
    "precision",
    "kernel",
    "factorization",
    "posterior",
    "scores",
    "query",
    "compilation",
    "TFLOP/s",
    "matrix TFLOP/s",
    "share",
    "spearman",
)
_PRODUCTS = 8  # square products in flight at once, so that none waits for its launch


def gram_operations(given: Problem) -> float:
    """Returns the nominal number of operations of the Gram matrix, N²/2 · 2P."""
    num_examples = len(given.x_labeled) + len(given.x_pool)
    return float(num_examples) ** 2 * problem.num_parameters(given.network)


def score(given: Problem, **how: Any) -> Array:
    """Scores the candidates of a problem, from images to scores."""
    with warnings.catch_warnings():
        # The warning is correct but expected: labels are random and nothing was trained.
        warnings.filterwarnings("ignore", message="the outputs of the network on the labeled set")
        return lookahead.score(given.network, given.x_labeled, given.y_labeled, given.x_pool, **how)


def time_query(given: Problem, rounds: int, **how: Any) -> dict[str, Any]:
    """Times each stage and the whole query, and computes the rate of the Gram matrix.

    Args:
      given: the problem.
      rounds: the number of rounds; times are medians over them. One query compiles beforehand.
      **how: ``precision`` and ``memory_budget``.
    """
    _, compiling, _ = compilation.timed(lambda: score(given, **how))
    logits = given.network.predict(given.x_pool)
    targets = jax.nn.one_hot(given.y_labeled, logits.shape[1])
    residual = targets - given.network.predict(given.x_labeled)
    times = [_time_stages(given, residual, logits, how) for _ in range(rounds)]
    seconds = {name: statistics.median(time[name] for time in times) for name in times[0]}
    rate = gram_operations(given) / seconds["kernel"] / 1e12
    return {**seconds, "compilation": compiling, "TFLOP/s": rate}


def _time_stages(
    given: Problem, residual: Array, logits: Array, how: dict[str, Any]
) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def stage(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # A single stage may compile something that the whole query did not.
        seconds[name], _, result = compilation.timed(lambda: function(*arguments, **options))
        return result

    x_labeled, x_pool = given.x_labeled, given.x_pool
    blocks = stage("kernel", kernels.blocks, given.network, x_labeled, x_pool, **how)
    stage("factorization", posterior.factorize, blocks.labeled, residual)
    belief = stage("posterior", posterior.condition, blocks, residual, logits)
    stage("scores", lookahead.score_posterior, belief)
    del blocks, belief  # otherwise memory would also hold those of the whole query
    stage("query", score, given, **how)
    return seconds


def matrix_rate(precision: str, size: int, rounds: int) -> float | None:
    """Measures the rate, in TFLOP/s, of the product of two square matrices.

    Args:
      precision: a key of ``PRECISIONS``.
      size: the number of rows of the matrices.
      rounds: the number of rounds; the rate is that of the median time.

    Returns:
      The rate, or ``None`` if the device does not support this product.
    """
    dtype, how = PRECISIONS[precision]
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.float32).astype(dtype)

    @jax.jit
    def product(a: Array, b: Array) -> Array:
        return jnp.matmul(a, b, precision=how, preferred_element_type=jnp.float32)

    def products() -> list[Array]:
        return [product(a, b) for _ in range(_PRODUCTS)]

    try:
        timing.timed(products)
    except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
        # Probably the device has no unit for the format. If memory ran out, the message shows it.
        print(f"no rate for {precision}: {error}", file=sys.stderr, flush=True)
        return None
    times = timing.interleave({precision: products}, rounds)[precision]
    return _PRODUCTS * 2 * size**3 / statistics.median(times) / 1e12


def peak_memory() -> tuple[int, str]:
    """Returns the peak memory so far in bytes, and whether it is that of the device or process."""
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    if peak is not None:
        return peak, "device"
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "resident set"


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table, one for each precision, and the facts that they share."""
    sizes = reduced(values)
    how = {} if values.memory_budget is None else {"memory_budget": values.memory_budget}
    module = models.build(values.model, values.num_classes, width=sizes["width"])
    image = np.zeros((1, values.image_size, values.image_size, 3), np.float32)
    network = training.initialize(jax.random.key(values.seed + 1), module, image)

    def make(suffix: str) -> Problem:
        return problem.synthetic(
            f"synthetic images, {values.model} of width {sizes['width']}",
            network,
            num_labeled=sizes["num_labeled" + suffix],
            num_pool=sizes["num_pool" + suffix],
            image_size=values.image_size,
            seed=values.seed,
        )

    small = make("_small")
    reference = score(small, precision="float32", **how)
    whole = make("")
    rows = []
    for precision in values.precisions:
        row: dict[str, Any] = {"precision": precision}
        row["matrix TFLOP/s"] = matrix_rate(precision, sizes["square"], max(3, values.rounds))
        row |= time_query(whole, values.rounds, precision=precision, **how)
        if row["matrix TFLOP/s"]:
            row["share"] = row["TFLOP/s"] / row["matrix TFLOP/s"]
        row["spearman"] = agreement.spearman(score(small, precision=precision, **how), reference)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)  # not lost if a later precision fails
    peak, of = peak_memory()
    facts = {
        **whole.facts(),
        "num_classes": values.num_classes,
        "gram_operations": gram_operations(whole),
        "gram_operations_are": "nominal: N²/2 · 2P, as if from rows of the Jacobian",
        "ranked": f"{len(small.x_labeled)} labeled, {len(small.x_pool)} candidates",
        "peak_memory_gib": round(peak / 2**30, 2),
        "peak_memory_of": f"{of}, over all precisions",
        "square": sizes["square"],
    }
    return rows, facts


def reduced(values: FlagValues) -> dict[str, int]:
    """Returns the sizes, divided by ``--reduce``, by the names of their flags."""
    return {name: max(1, values[name].value // values.reduce) for name in REDUCED}


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""

    def integer(name: str, default: int | None, help: str) -> None:
        flags.DEFINE_integer(name, default, help, 1, flag_values=values)

    integer("num_labeled", 10000, "The number of labels.")
    integer("num_pool", 6000, "The number of candidates.")
    integer("num_labeled_small", 1000, "The number of labels when rankings are compared.")
    integer("num_pool_small", 1000, "The number of candidates when rankings are compared.")
    integer("num_classes", 100, "The number of classes.")
    flags.DEFINE_enum("model", "resnet18", list(models.MODELS), "The network.", flag_values=values)
    integer("width", 64, "The width of the model.")
    integer("image_size", 32, "The height and width of the images in pixels.")
    integer("memory_budget", None, "Bytes for the kernel; default: that of the package.")
    integer("square", 8192, "The number of rows of the square matrices.")
    integer("reduce", 1, "Divides the numbers of examples, the width and the square matrices.")
    entry.define_names("precisions", PRECISIONS, "The precisions of the kernel:", values)


BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, rounds=1)

if __name__ == "__main__":
    entry.main(BENCHMARK)
