from __future__ import annotations

import pytest
from absl import flags

from experiments.benchmarks import query
from experiments.benchmarks.harness import entry, memory


def test_a_query_is_timed_by_strategy_and_stage():
    chosen = "mlmoc,naive,bald,margin"
    rows = entry.run(
        query.BENCHMARK,
        ["--quick", "--rounds=2", "--sample=1", "--nomemory", f"--strategies={chosen}"],
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
    monkeypatch.setattr(
        memory, "of_fresh_process", lambda *command: commands.append(command) or 2**20
    )
    assert query.peak_memory("entropy", entry.parse(query.BENCHMARK, ["--quick"])) == 1
    ((module, arguments),) = commands
    assert module == query.__name__
    assert "--quick" in arguments
    assert entry.run(query.BENCHMARK, arguments) == []
    assert int(capsys.readouterr().out.split()[-1]) >= 0


def test_strategies_are_checked_before_anything_is_computed():
    with pytest.raises(flags.IllegalFlagValueError, match="known strategies"):
        entry.parse(query.BENCHMARK, ["--strategies=none"])
