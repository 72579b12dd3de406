from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from experiments.benchmarks import (
    accelerator,
    agreement,
    approximations,
    look_ahead,
    measuring,
    query,
)
from ntk_al import lookahead

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("wrong", [1 + 2e-4, np.nan])
def test_scores_that_differ_from_their_reference_are_refused(wrong):
    reference = np.array([1.0, 2.0, 3.0])
    assert agreement.check(reference * (1 + 5e-5), reference, 1e-4) == pytest.approx(5e-5)
    with pytest.raises(ArithmeticError, match="differ from their reference"):
        agreement.check(reference * [1, wrong, 1], reference, 1e-4)


def test_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30), rng.normal(size=30)
    assert agreement.spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)


def test_look_ahead_is_timed_beside_dense_solves_and_retraining(tmp_path):
    output = tmp_path / "result.json"
    rows = look_ahead.main(["--quick", "--rounds=2", "--sample=20", f"--output={output}"])
    by_name = {row["method"].strip(): row for row in rows}
    assert by_name["look-ahead"]["ratio"] == 1
    assert by_name["look-ahead"]["timed on"] == "60 of 60"
    assert by_name["naive retraining"]["timed on"] == "20 of 60"
    assert by_name["naive retraining"]["ratio"] > 1
    assert -1 <= by_name["naive retraining"]["spearman"] <= 1
    assert by_name["solves alone"]["difference"] < 1e-4
    assert all(row["seconds"] > 0 for row in rows)
    assert json.loads(output.read_text())["rows"] == rows


def test_no_time_is_reported_for_wrong_scores(monkeypatch):
    right = lookahead.score
    monkeypatch.setattr(lookahead, "score", lambda *args, **kwargs: 1.01 * right(*args, **kwargs))
    with pytest.raises(ArithmeticError):
        look_ahead.main(["--quick", "--rounds=1", "--sample=1"])


def test_a_query_is_timed_by_strategy_and_stage():
    chosen = "mlmoc,naive,bald,margin"
    rows = query.main(
        ["--quick", "--rounds=2", "--sample=1", "--memory=", f"--strategies={chosen}"]
    )
    by_name = {row["query"].strip(): row for row in rows}
    assert set(chosen.split(",")) < set(by_name)
    assert by_name["entropy"]["ratio"] == 1
    assert by_name["naive"]["timed on"] == "1 of 60 candidates"
    assert by_name["naive"]["seconds"] > by_name["mlmoc"]["seconds"]
    stages = ("kernel", "factorization and S", "scores", "rest")
    assert sum(by_name[stage]["share"] for stage in stages) == pytest.approx(1)


def test_the_memory_of_a_query_is_measured_in_a_fresh_process(monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(measuring, "peak_memory_of", lambda c: commands.append(c) or 2**20)
    assert query.peak_memory("entropy", ["--quick"]) == 1
    executable, m, module, *flags = commands[0]
    assert [executable, m, module] == [sys.executable, "-m", query.__name__]
    query.main(flags)
    assert int(capsys.readouterr().out.split()[-1]) >= 0


def test_approximations_are_compared_with_retraining(tmp_path):
    output = tmp_path / "rows.json"
    rows = approximations.main(["--quick", "--models=mlp", f"--output={output}"])
    assert [row["method"] for row in rows] == list(approximations.METHODS)
    assert all(-1 <= row["spearman"] <= 1 and 0 <= row["top tenth"] <= 1 for row in rows)
    assert json.loads(output.read_text())["rows"] == rows


def test_the_shared_top_counts_what_both_put_there():
    assert agreement.shared_top([5, 4, 3, 2, 1], [5, 1, 4, 2, 3], 2) == 0.5
    assert agreement.shared_top([1, 2, 3], [1, 2, 3], 2) == 1


def test_the_accelerator_benchmark_runs_without_packages_of_data_and_oracles(tmp_path):
    output = tmp_path / "result.json"
    flags = ["--quick", "--model=mlp", "--precisions=float32,bfloat16", f"--output={output}"]
    code = f"""
import sys
for name in ("neural_tangents", "tensorflow_datasets", "tensorflow"):
    sys.modules[name] = None
from experiments.benchmarks import accelerator
accelerator.main({flags})
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    result = json.loads(output.read_text())
    machine, rows = result["machine"], result["rows"]
    assert {"device", "jax", "peak_memory_gib", "gram_operations"} < set(machine)
    assert [row["precision"] for row in rows] == ["float32", "bfloat16"]
    for row in rows:
        assert row["query"] > 0
        assert row["spearman"] > 0.9
        nominal = machine["gram_operations"] / row["kernel"] / 1e12
        assert row["TFLOP/s"] == pytest.approx(nominal)


def test_reduce_divides_what_is_not_given_otherwise():
    options = accelerator.parse(["--reduce=100", "--width=800"])
    assert (options.num_labeled, options.num_pool, options.width) == (100, 60, 8)
