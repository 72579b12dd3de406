"""A look-ahead query at the size of the CIFAR100 protocol, and how much of the device it uses.

    python -m experiments.benchmarks.accelerator --output=FILE    # an accelerator; minutes
    python -m experiments.benchmarks.accelerator --quick          # a CPU; seconds
    python -m experiments.benchmarks.accelerator --reduce=20      # anything in between

ResNet18 with random weights, 10000 labeled examples and 6000 candidates, synthetic images that are
made on the device, random labels: times do not depend on what the network has learned.

The Gram matrix is credited with N²/2 inner products of rows of P entries, N = L + U, which is
N²/2 · 2P operations. The count is nominal: forming the rows is not in it, and an implementation
that needs fewer operations may pass the rate of the matrix units. That rate is measured in the same
run, with the product of two large square matrices. How well a precision keeps the ranking is
measured on a smaller problem of the same kind.

"posterior" is all of ``posterior.condition``: the factorization, timed alone as well, and S.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import DotAlgorithmPreset, Precision

from experiments.benchmarks import agreement, compilation, measuring
from ntk_al import Network, kernels, lookahead, models, training
from ntk_al.lookahead import posterior
from ntk_al.types import Array

PRECISIONS: dict[str, tuple[Any, Any]] = {
    "float32": (jnp.float32, Precision.HIGHEST),
    "bfloat16_3x": (jnp.float32, DotAlgorithmPreset.BF16_BF16_F32_X3),
    "tensorfloat32": (jnp.float32, DotAlgorithmPreset.TF32_TF32_F32),
    "bfloat16": (jnp.bfloat16, None),
}
"""Of the kernel; dtype and ``precision`` of a square product that runs on the same units."""

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
_PRODUCTS = 8  # square products that are in flight together, so that no launch is waited for


@dataclasses.dataclass(frozen=True)
class Problem:
    """A network and synthetic examples, on the device.

    Attributes:
      network: with random weights.
      x_labeled: labeled images, ``[L, size, size, 3]``.
      y_labeled: random class ids, ``[L]``.
      x_pool: candidates, ``[U, size, size, 3]``.
    """

    network: Network
    x_labeled: Array
    y_labeled: Array
    x_pool: Array

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.network.params))

    @property
    def gram_operations(self) -> float:
        """N²/2 · 2P, nominally."""
        return float(len(self.x_labeled) + len(self.x_pool)) ** 2 * self.num_parameters


def synthetic(network: Network, num_labeled: int, num_pool: int, size: int, seed: int) -> Problem:
    """Smooth random images of ``size`` × ``size`` pixels with noise, and random labels."""
    # Of images whose pixels are independent, a network makes nearly equal rows.
    num = num_labeled + num_pool
    field_key, noise_key, label_key = jax.random.split(jax.random.key(seed), 3)
    coarse = jax.random.uniform(field_key, (num, 4, 4, 3), minval=-2, maxval=2)
    noise = jax.random.uniform(noise_key, (num, size, size, 3), minval=-0.5, maxval=0.5)
    images = jax.image.resize(coarse, noise.shape, "linear") + noise
    num_classes = network.check(images)
    return Problem(
        network=network,
        x_labeled=images[:num_labeled],
        y_labeled=jax.random.randint(label_key, (num_labeled,), 0, num_classes),
        x_pool=images[num_labeled:],
    )


def score(problem: Problem, **how: Any) -> Array:
    """A whole query: images to scores."""
    with warnings.catch_warnings():
        # True here and of no interest: labels are random and nothing was trained.
        warnings.filterwarnings("ignore", message="the outputs of the network on the labeled set")
        return lookahead.score(
            problem.network, problem.x_labeled, problem.y_labeled, problem.x_pool, **how
        )


def time_query(problem: Problem, rounds: int, **how: Any) -> dict[str, Any]:
    """Seconds of each stage and of the whole query, and the rate of the Gram matrix.

    Args:
      problem: what is queried.
      rounds: times are medians of so many, after one query that compiles.
      **how: ``precision`` and ``memory_budget``.
    """
    _, compiling, _ = compilation.timed(lambda: score(problem, **how))
    logits = problem.network.predict(problem.x_pool)
    targets = jax.nn.one_hot(problem.y_labeled, logits.shape[1])
    residual = targets - problem.network.predict(problem.x_labeled)
    times = [_time_stages(problem, residual, logits, how) for _ in range(rounds)]
    seconds = {name: measuring.median(time[name] for time in times) for name in times[0]}
    rate = problem.gram_operations / seconds["kernel"] / 1e12
    return {**seconds, "compilation": compiling, "TFLOP/s": rate}


def _time_stages(
    problem: Problem, residual: Array, logits: Array, how: dict[str, Any]
) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def stage(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # A stage alone may compile what the whole query did not.
        seconds[name], _, result = compilation.timed(lambda: function(*arguments, **options))
        return result

    x_labeled, x_pool = problem.x_labeled, problem.x_pool
    blocks = stage("kernel", kernels.blocks, problem.network, x_labeled, x_pool, **how)
    stage("factorization", posterior.factorize, blocks.labeled, residual)
    belief = stage("posterior", posterior.condition, blocks, residual, logits)
    stage("scores", lookahead.score_posterior, belief)
    del blocks, belief  # they would stand beside those of the whole query
    stage("query", score, problem, **how)
    return seconds


def matrix_rate(precision: str, size: int, rounds: int) -> float | None:
    """TFLOP/s of the product of two square matrices; ``None`` where the device has no such product.

    Args:
      precision: a key of ``PRECISIONS``.
      size: rows of the matrices.
      rounds: the rate is of the median time.
    """
    dtype, how = PRECISIONS[precision]
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.float32).astype(dtype)

    @jax.jit
    def product(a: Array, b: Array) -> Array:
        return jnp.matmul(a, b, precision=how, preferred_element_type=jnp.float32)

    def products() -> list[Array]:
        return [product(a, b) for _ in range(_PRODUCTS)]

    try:
        measuring.timed(products)
    except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
        # Most likely no unit for the format; if it was memory, the reader must see that.
        print(f"no rate for {precision}: {error}", file=sys.stderr, flush=True)
        return None
    times = measuring.interleave({precision: products}, rounds)[precision]
    return _PRODUCTS * 2 * size**3 / measuring.median(times) / 1e12


def peak_memory() -> tuple[int, str]:
    """Bytes at the peak so far, and what they are of: the device, or else this process."""
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    if peak is not None:
        return peak, "device"
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "resident set"


def measure(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the table, one for each precision, and the facts that all of them share."""
    how = {} if options.memory_budget is None else {"memory_budget": options.memory_budget}
    size, seed = options.image_size, options.seed
    module = models.build(options.model, options.num_classes, width=options.width)
    shape = (1, size, size, 3)
    network = training.initialize(jax.random.key(seed + 1), module, np.zeros(shape, np.float32))
    small = synthetic(network, options.num_labeled_small, options.num_pool_small, size, seed)
    reference = score(small, precision="float32", **how)
    problem = synthetic(network, options.num_labeled, options.num_pool, size, seed)
    rows = []
    for precision in options.precisions.split(","):
        row: dict[str, Any] = {"precision": precision}
        row["matrix TFLOP/s"] = matrix_rate(precision, options.square, max(3, options.rounds))
        row |= time_query(problem, options.rounds, precision=precision, **how)
        if row["matrix TFLOP/s"]:
            row["share"] = row["TFLOP/s"] / row["matrix TFLOP/s"]
        row["spearman"] = agreement.spearman(score(small, precision=precision, **how), reference)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)  # what is known, should a later one fail
    peak, of = peak_memory()
    facts = {
        "model": f"{options.model}, width {options.width}, P = {problem.num_parameters}",
        "num_labeled": options.num_labeled,
        "num_pool": options.num_pool,
        "num_classes": options.num_classes,
        "gram_operations": problem.gram_operations,
        "gram_operations_are": "nominal: N²/2 · 2P, as if from rows of the Jacobian",
        "ranked": f"{options.num_labeled_small} labeled, {options.num_pool_small} candidates",
        "peak_memory_gib": round(peak / 2**30, 2),
        "peak_memory_of": f"{of}, over all precisions",
        "square": options.square,
        "rounds": options.rounds,
    }
    return rows, facts


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags, with what ``--quick`` and ``--reduce`` make of their defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num_labeled", type=int, default=10000)
    parser.add_argument("--num_pool", type=int, default=6000)
    parser.add_argument("--num_labeled_small", type=int, default=1000, help="for the ranking")
    parser.add_argument("--num_pool_small", type=int, default=1000, help="for the ranking")
    parser.add_argument("--num_classes", type=int, default=100)
    parser.add_argument("--model", choices=models.MODELS, default="resnet18")
    parser.add_argument("--width", type=int, default=64, help="of the model")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="separated by commas")
    parser.add_argument("--memory_budget", type=int, help="bytes; default: the package's own")
    parser.add_argument("--square", type=int, default=8192, help="rows of the square product")
    parser.add_argument("--rounds", type=int, default=1, help="times are medians of so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="JSON file for the result")
    parser.add_argument(
        "--reduce", type=int, default=1, help="divides numbers of examples, width and square"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny problem: seconds on a CPU")
    if arguments is None:
        arguments = sys.argv[1:]
    if "--quick" in arguments:
        parser.set_defaults(**QUICK)
    options = parser.parse_args(arguments)
    for name in QUICK.keys() - {"model", "image_size"}:
        setattr(options, name, max(1, getattr(options, name) // options.reduce))
    return options


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Parses flags, measures, prints the table; returns its rows."""
    options = parse(arguments)
    rows, facts = measure(options)
    facts |= measuring.machine_facts()
    for key, value in facts.items():
        print(f"{key}: {value}")
    measuring.print_table(rows, COLUMNS)
    if options.output:
        measuring.write_json(options.output, rows, facts)
    return rows


if __name__ == "__main__":
    main()
