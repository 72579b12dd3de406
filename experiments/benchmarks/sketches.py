"""Sketches of gradients at equal length: count sketches beside projected factors.

    python -m experiments.benchmarks.sketches --data_dir=DIR    # MNIST; minutes on a CPU
    python -m experiments.benchmarks.sketches --quick           # digits; seconds

A count sketch folds the gradient of every parameter. The alternative never forms it: patches and
output gradients of each layer are projected before they are multiplied, Σ_t (A p_t)(B δ_t)ᵀ (LoGra:
Choe et al. 2024, "What is your data worth to GPT?"), and the layers are either added up after
random signs and orders, or stand side by side. Only parameters with a layer rule count, here and in
the kernel. Agreement is the correlation of cosines with the exact ones, off the diagonal; times do
not include compilation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import Network
from ntk_al.kernels.empirical import capture, routes
from ntk_al.kernels.empirical.factors import Layer
from ntk_al.kernels.empirical.limits import CPU
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.survey import survey
from ntk_al.types import Array

from .harness import entry, protocol, timing

COLUMNS = ("sketch", "length", "seconds", "times count", "correlation", "error")
_BATCH = 32


def gradients(layers: tuple[Layer, ...], factors: capture.Factors) -> list[Array]:
    """Returns the whole gradient of each layer's parameter, ``[N, P]``."""
    product = Product("float32", jax.default_backend())
    return [
        routes.rows(layer, factor, product, CPU.workspace)
        for layer, factor in zip(layers, factors.of_layers, strict=True)
    ]


def folded(rows: Array, key: Array, length: int) -> Array:
    """A count sketch of rows ``[N, P]``: signs, a random order and ``length`` places."""
    sign_key, order_key = jax.random.split(key)
    signed = rows * jax.random.rademacher(sign_key, (rows.shape[1],), rows.dtype)
    entries = signed[:, jax.random.permutation(order_key, rows.shape[1])]
    entries = jnp.pad(entries, ((0, 0), (0, -entries.shape[1] % length)))
    return entries.reshape(len(rows), -1, length).sum(1)


def projected(layer: Layer, factor: Any, key: Array, length: int) -> Array:
    """Σ_t (A p_t)(B δ_t)ᵀ of one layer, ``[N, about length]``."""
    inputs, output_gradients = factor
    num = min(int(length**0.5), layer.num_channels)
    size = max(1, length // (num * layer.num_groups))
    key_a, key_b = jax.random.split(key)
    a = jax.random.normal(key_a, (layer.num_windows, layer.window_size, size)) / size**0.5
    b = jax.random.normal(key_b, (layer.num_channels, num)) / num**0.5
    total: Any = 0
    for rule, x, gradient in zip(layer.rules, inputs, output_gradients, strict=True):
        patches = sum(rule.window(x, w) @ a[w] for w in range(layer.num_windows))
        total += jnp.einsum("ntga,ntgb->ngab", patches, rule.output_gradients(gradient) @ b)
    return jnp.reshape(total, (len(total), -1))


def count(layers: tuple[Layer, ...], factors: capture.Factors, key: Array, length: int) -> Array:
    """The count sketch of ``kernels.sketch``."""
    rows = gradients(layers, factors)
    keys = jax.random.split(key, len(rows))
    return sum((folded(row, k, length) for row, k in zip(rows, keys, strict=True)), jnp.zeros(()))


def added(layers: tuple[Layer, ...], factors: capture.Factors, key: Array, length: int) -> Array:
    """Projected factors of all layers in the same places."""
    keys = jax.random.split(key, 2 * len(layers)).reshape(len(layers), 2, *key.shape)
    parts = (
        folded(projected(layer, factor, k[0], length), k[1], length)
        for layer, factor, k in zip(layers, factors.of_layers, keys, strict=True)
    )
    return sum(parts, jnp.zeros(()))


def side_by_side(
    layers: tuple[Layer, ...], factors: capture.Factors, key: Array, length: int
) -> Array:
    """Projected factors of each layer in places of its own."""
    keys = jax.random.split(key, len(layers))
    own = max(1, length // len(layers))
    parts = [
        projected(layer, factor, k, own)
        for layer, factor, k in zip(layers, factors.of_layers, keys, strict=True)
    ]
    return jnp.concatenate(parts, 1)


SKETCHES = {"count": count, "projected, added": added, "projected, side by side": side_by_side}


def sketched(
    how: Callable[..., Array], network: Network, layers: tuple[Layer, ...], length: int
) -> Callable[[np.ndarray, Array], np.ndarray]:
    """Returns a compiled function from inputs and a key to sketches."""

    @jax.jit
    def of_batch(x: Array, key: Array) -> Array:
        factors = capture.capture(network, x, layers, (), "first_logit")
        return how(layers, factors, key, length)

    def of_all(x: np.ndarray, key: Array) -> np.ndarray:
        starts = range(0, len(x), _BATCH)
        return np.concatenate([np.asarray(of_batch(x[i : i + _BATCH], key)) for i in starts])

    return of_all


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    problem = protocol.load(values)
    x = np.asarray(problem.x_pool[: values.num_examples])
    x = x[: len(x) // _BATCH * _BATCH]
    layers = survey(problem.network, x).layers
    whole = sketched(
        lambda layers, factors, *_: jnp.concatenate(gradients(layers, factors), 1),
        problem.network, layers, 0,
    )(x, jax.random.key(0))  # fmt: skip
    kernel = np.asarray(whole, np.float64) @ whole.T
    rows: list[dict[str, Any]] = []
    for length in (int(text) for text in values.lengths):
        calls = {
            name: functools.partial(sketched(how, problem.network, layers, length), x)
            for name, how in SKETCHES.items()
        }
        found = {
            name: [call(jax.random.key(seed)) for seed in range(values.num_keys)]
            for name, call in calls.items()
        }
        timed = {name: functools.partial(call, jax.random.key(0)) for name, call in calls.items()}
        seconds = timing.medians(timing.interleave(timed, values.rounds))
        for name, sketches in found.items():
            judged = [compared(kernel, sketch) for sketch in sketches]
            rows.append(
                {
                    "sketch": name,
                    "length": sketches[0].shape[1],
                    "seconds": seconds[name],
                    "times count": seconds[name] / seconds["count"],
                    "correlation": float(np.mean([one[0] for one in judged])),
                    "error": float(np.mean([one[1] for one in judged])),
                }
            )
    return rows, {**problem.facts(), "num_examples": len(x)}


def compared(kernel: np.ndarray, sketch: np.ndarray) -> tuple[float, float]:
    """The correlation of cosines, and the root mean square error as a share of the norms."""
    estimate = np.asarray(sketch, np.float64) @ sketch.T
    off = ~np.eye(len(kernel), dtype=bool)
    norms = np.sqrt(np.outer(kernel.diagonal(), kernel.diagonal()))
    own = np.sqrt(np.outer(estimate.diagonal(), estimate.diagonal()))
    correlation = np.corrcoef((kernel / norms)[off], (estimate / own)[off])[0, 1]
    return float(correlation), float(np.sqrt(np.square((estimate - kernel) / norms)[off].mean()))


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    protocol.define_flags(values)
    flags.DEFINE_list("lengths", ["512", "2048"], "Lengths of a sketch.", flag_values=values)
    flags.DEFINE_integer("num_examples", 512, "How many are sketched.", 1, flag_values=values)
    flags.DEFINE_integer("num_keys", 5, "How many sketches are averaged.", 1, flag_values=values)


QUICK = {"lengths": ["32"], "num_examples": 32, "num_keys": 2}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK)

if __name__ == "__main__":
    entry.main(BENCHMARK)
