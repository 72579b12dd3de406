from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import sketches
from experiments.benchmarks.harness import entry
from ntk_al import Network, kernels
from ntk_al.kernels.empirical.survey import survey


def test_sketches_are_timed_and_compared_with_the_kernel():
    rows = entry.run(sketches.BENCHMARK, ["--quick"])
    assert [row["sketch"] for row in rows] == list(sketches.SKETCHES)
    assert all(-1 <= row["correlation"] <= 1 for row in rows)
    assert rows[0]["times count"] == 1


@pytest.mark.parametrize("name", sketches.SKETCHES)
def test_averaged_over_keys_inner_products_are_the_kernel_of_the_layers(name):
    rng = np.random.default_rng(0)
    params = {"w1": rng.normal(size=(5, 6)), "w2": rng.normal(size=(6, 3))}
    network = Network.from_function(
        lambda p, x: jnp.tanh(x @ p["w1"]) @ p["w2"], jax.tree.map(jnp.float32, params)
    )
    x = rng.normal(size=(4, 5)).astype(np.float32)
    of = sketches.sketched(sketches.SKETCHES[name], network, survey(network, x).layers, 16)
    products = [p @ p.T for p in (of(x, jax.random.key(seed)) for seed in range(400))]
    error = np.std(products, 0) / len(products) ** 0.5
    difference = np.mean(products, 0) - kernels.gram(network, x)
    assert np.abs(difference).max() < 5 * error.max() < 0.5 * kernels.gram(network, x).max()
