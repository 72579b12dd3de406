from __future__ import annotations

import numpy as np
import pytest

from experiments.benchmarks import labels
from experiments.benchmarks.harness import entry


@pytest.mark.thorough
def test_both_solvers_are_timed_and_compared():
    rows = entry.run(labels.BENCHMARK, ["--quick"])
    assert [(row["labels"], row["solver"]) for row in rows] == [
        (40, "cholesky"), (40, "cg"), (80, "cholesky"), (80, "cg"),
    ]  # fmt: skip
    assert max(row["difference"] for row in rows if row["solver"] == "cg") < 1e-4
    growth = np.log2(rows[3]["seconds"] / rows[1]["seconds"])
    assert rows[3]["exponent"] == pytest.approx(growth)


@pytest.mark.thorough
def test_a_set_too_large_for_a_factor_is_left_to_conjugate_gradients():
    rows = entry.run(labels.BENCHMARK, ["--quick", "--sizes=40", "--most_by_cholesky=39"])
    assert [row["solver"] for row in rows] == ["cg"]
    assert "difference" not in rows[0]
