from __future__ import annotations

import json
import subprocess
import sys

import pytest

from experiments.benchmarks.harness import operations
from ntk_al import kernels
from tests import helpers
from tests.paths import ROOT


@pytest.mark.thorough
def test_each_device_does_the_same_however_many_share_the_candidates(tmp_path):
    path = tmp_path / "scaling.json"
    command = [sys.executable, "-m", "experiments.benchmarks.scaling", "--quick", f"--out={path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = json.loads(path.read_text())["rows"]
    assert [(row["devices"], row["candidates"]) for row in rows] == [(2, 256), (4, 512)]
    two, four = rows
    assert 0 < four["Gflop"] <= 1.05 * two["Gflop"]
    assert 0 < four["MiB received"] <= 1.2 * two["MiB received"]


def test_a_product_of_matrices_is_counted_as_often_as_it_runs():
    network, x = helpers.network(), helpers.images(5)
    with operations.counted() as once:
        kernels.gram(network, x)
    with operations.counted() as twice:
        kernels.gram(network, x)
        kernels.gram(network, x)
    assert once.flops["record"] > 0
    assert twice.flops == {name: 2 * flops for name, flops in once.flops.items()}
    assert not any(once.received.values())


def test_gathered_bytes_are_those_of_the_results_of_collective_operations():
    text = "%a = f32[6,5]{1,0} all-gather(%x)\n%b = (bf16[4]{0}, pred[3]{0}) all-to-all(%y, %z)"
    assert operations.received(text) == 4 * 30 + 2 * 4 + 3
