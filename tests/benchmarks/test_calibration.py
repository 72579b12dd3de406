from __future__ import annotations

import numpy as np
import pytest

from experiments.benchmarks import calibration
from experiments.benchmarks.harness import entry


@pytest.mark.quick
def test_the_calibration_error_by_hand():
    p = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.95, 0.05]])
    labels = np.array([0, 1, 1, 0])
    # With five bins: two at 0.6 of which one is right, then 0.9 and 0.95 together, both right.
    expected = (abs(1 - 1.2) + abs(2 - 1.85)) / 4
    assert calibration.calibration_error(p, labels, 5) == pytest.approx(expected)
    # Between 0.9 and 0.95 there is an edge with fifteen bins, 14/15.
    expected = (abs(1 - 1.2) + abs(1 - 0.9) + abs(1 - 0.95)) / 4
    assert calibration.calibration_error(p, labels) == pytest.approx(expected)


def test_every_way_to_make_probabilities_is_judged():
    rows = entry.run(calibration.BENCHMARK, ["--quick"])
    of_digits = {row["probabilities"]: row for row in rows if row["dataset"] == "digits"}
    assert of_digits.keys() >= {"calibrated", "simplex", "softmax", "best"}
    assert all(0 <= row["error"] <= 1 for row in rows)
    least = min(row["log score"] for row in of_digits.values())
    assert of_digits["best"]["log score"] == pytest.approx(least, abs=1e-3)
