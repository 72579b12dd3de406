from __future__ import annotations

import json

import pytest

from experiments.benchmarks import approximations
from experiments.benchmarks.harness import entry


@pytest.mark.thorough
def test_approximations_are_compared_with_retraining(tmp_path):
    path = tmp_path / "rows.json"
    rows = entry.run(approximations.BENCHMARK, ["--quick", "--models=mlp", f"--out={path}"])
    assert [row["method"] for row in rows] == list(approximations.METHODS)
    assert all(-1 <= row["spearman"] <= 1 and 0 <= row["top tenth"] <= 1 for row in rows)
    assert json.loads(path.read_text())["rows"] == rows
