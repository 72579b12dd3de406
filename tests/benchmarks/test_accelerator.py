from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from experiments.benchmarks import accelerator
from experiments.benchmarks.harness import entry

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.thorough
def test_the_accelerator_benchmark_runs_without_packages_of_data_and_oracles(tmp_path):
    path = tmp_path / "result.json"
    flags = ["--quick", "--model=mlp", "--precisions=float32,bfloat16", f"--out={path}"]
    code = f"""
import sys
for name in ("neural_tangents", "tensorflow_datasets", "tensorflow"):
    sys.modules[name] = None
from experiments.benchmarks import accelerator
from experiments.benchmarks.harness import entry
entry.run(accelerator.BENCHMARK, {flags})
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    result = json.loads(path.read_text())
    machine, rows = result["machine"], result["rows"]
    assert {"device", "jax", "peak_memory_gib", "gram_operations"} < set(machine)
    assert [row["precision"] for row in rows] == ["float32", "bfloat16"]
    for row in rows:
        assert row["query"] > 0
        assert row["spearman"] > 0.9
        nominal = machine["gram_operations"] / row["kernel"] / 1e12
        assert row["TFLOP/s"] == pytest.approx(nominal)


def test_reduce_divides_what_is_not_given_otherwise():
    values = entry.parse(accelerator.BENCHMARK, ["--reduce=100", "--width=800"])
    sizes = accelerator.reduced(values)
    assert (sizes["num_labeled"], sizes["num_pool"], sizes["width"]) == (100, 60, 8)
