from __future__ import annotations

import json

import pytest

from experiments.benchmarks import look_ahead
from experiments.benchmarks.harness import entry
from ntk_al import lookahead


def test_look_ahead_is_timed_beside_dense_solves_and_retraining(tmp_path):
    path = tmp_path / "result.json"
    rows = entry.run(
        look_ahead.BENCHMARK, ["--quick", "--rounds=2", "--sample=20", f"--out={path}"]
    )
    by_name = {row["method"].strip(): row for row in rows}
    assert by_name["look-ahead"]["ratio"] == 1
    assert by_name["look-ahead"]["timed on"] == "60 of 60"
    assert by_name["naive retraining"]["timed on"] == "20 of 60"
    assert by_name["naive retraining"]["ratio"] > 1
    assert -1 <= by_name["naive retraining"]["spearman"] <= 1
    assert by_name["solves alone"]["difference"] < 1e-4
    assert all(row["seconds"] > 0 for row in rows)
    assert json.loads(path.read_text())["rows"] == rows


def test_no_time_is_reported_for_wrong_scores(monkeypatch):
    right = lookahead.score
    monkeypatch.setattr(lookahead, "score", lambda *args, **kwargs: 1.01 * right(*args, **kwargs))
    with pytest.raises(ArithmeticError):
        entry.run(look_ahead.BENCHMARK, ["--quick", "--rounds=1", "--sample=1"])
