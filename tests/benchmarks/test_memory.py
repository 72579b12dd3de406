"""What the planner predicts is what arrays and XLA's temporaries take."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.benchmarks import memory
from experiments.benchmarks.harness import account, entry
from ntk_al import kernels, models, training
from tests import cases
from tests.paths import ROOT


@pytest.mark.thorough
def test_the_benchmark_reports_how_often_the_prediction_is_enough(tmp_path, capsys):
    path = tmp_path / "rows.json"
    rows = entry.run(memory.BENCHMARK, ["--quick", f"--out={path}"])
    for row in rows:
        assert row["predicted"] <= row["budget"]
        assert 0.99 <= row["predicted / taken"] <= 1.25
        assert row["resident"] > 0
    assert "took no more than predicted" in capsys.readouterr().out
    assert [row["case"] for row in json.loads(path.read_text())["rows"]] == [0, 1]


SMALL, LARGE = (40, 300, 90), (30, 1900, 1500)
RECORDING, MULTIPLYING = {"record", "keep"}, {"add_pairs", "add_product", "part_of_rows"}
ASSEMBLING = {"assemble"}


@pytest.mark.parametrize(
    ("model", "shape", "sizes", "precision", "mebibytes", "phase"),
    [
        cases.thorough("convnet", (8, 8, 3), SMALL, "float32", 7, RECORDING),
        cases.thorough("convnet", (8, 8, 3), SMALL, "bfloat16", 12, RECORDING),
        cases.thorough("convnet", (8, 8, 3), SMALL, "tensorfloat32", 500, MULTIPLYING),
        ("convnet", (24, 24, 3), (20, 30), "float32", 20, RECORDING),
        cases.thorough("mlp", (12,), LARGE, "float32", 500, ASSEMBLING),
        ("mlp", (12,), (30, 1900), "float32", 500, ASSEMBLING),
        cases.thorough("mlp", (12,), LARGE, "bfloat16_3x", 70, ASSEMBLING),
    ],
)
def test_no_array_and_no_temporary_is_forgotten(model, shape, sizes, precision, mebibytes, phase):
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(size, *shape)).astype(np.float32) for size in sizes]
    module = models.build(model, 3, width=16)
    network = training.initialize(jax.random.key(0), module, sets[0])
    budget = mebibytes * 2**20
    with account.watched() as found:
        kernels.blocks(network, *sets, precision=precision, memory_budget=budget)
    assert found.program in phase
    assert found.plan.peak_bytes <= budget
    assert 0.99 * found.peak_bytes <= found.plan.peak_bytes <= 1.25 * found.peak_bytes


PROGRAM = """
import jax
import numpy as np
from experiments.benchmarks.harness import account
from ntk_al import kernels, models, training

mesh = jax.make_mesh((2,), ("pool",))
for model, shape in (("convnet", (8, 8, 3)), ("mlp", (12,))):
    sets = [np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32) for n in (40, 900)]
    network = training.initialize(jax.random.key(0), models.build(model, 3, width=16), sets[0])
    for precision in ("float32", "bfloat16"):
        with account.watched() as found:
            kernels.blocks(network, *sets, precision=precision, mesh=mesh)
        print(found.plan.peak_bytes / found.peak_bytes)
"""


@pytest.mark.thorough
def test_predictions_hold_on_each_device_of_a_mesh():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    ratios = [float(line) for line in done.stdout.split()]
    assert len(ratios) == 4
    assert min(ratios) >= 0.99
    assert max(ratios) <= 1.25
