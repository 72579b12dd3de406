from __future__ import annotations

import json

import pytest

from experiments.benchmarks import gram
from experiments.benchmarks.harness import cases, entry, memory
from experiments.benchmarks.harness.cases import Case
from experiments.benchmarks.harness.contestants import OURS, PLAIN

NAMES = [OURS, PLAIN, *gram.PEERS, "floor, one batch", "floor, best batch"]


@pytest.fixture
def tiny(monkeypatch):
    """A case with a network that compiles in a moment."""
    monkeypatch.setitem(cases.CASES, "resnet18", Case("convnet", 64, (28, 28, 1), 512))


def test_the_quick_race_has_a_row_for_each_contestant_and_floor(tiny, tmp_path, capsys):
    path = tmp_path / "rows.json"
    flags = ["--quick", "--cases=resnet18", "--rounds=1", "--nomemory", f"--out={path}"]
    rows = entry.run(gram.BENCHMARK, flags)
    assert [row["contestant"] for row in rows] == NAMES
    assert all(row["seconds"] > 0 for row in rows)
    assert rows[0]["/ ours"] == rows[-2]["/ floor"] == rows[-1]["/ best floor"] == 1
    assert rows[-1]["seconds"] <= rows[-2]["seconds"]

    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    written = json.loads(path.read_text())
    assert [row["contestant"] for row in written["rows"]] == NAMES
    assert written["machine"]["cores"] >= 1


@pytest.mark.parametrize("name", [OURS, "neural-tangents JACOBIAN_CONTRACTION"])
def test_the_memory_of_a_contestant_is_measured_in_a_fresh_process(name, tiny, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(
        memory, "of_fresh_process", lambda *command: commands.append(command) or 2**20
    )
    values = entry.parse(gram.BENCHMARK, ["--quick", "--seed=3"])
    assert gram.peak_memory("resnet18", values, name, 4, 4) == 2**20
    ((module, flags),) = commands
    assert module == gram.__name__
    assert {"--quick", "--seed=3", "--cases=resnet18"} < set(flags)
    assert entry.run(gram.BENCHMARK, flags) == []
    assert int(capsys.readouterr().out.split()[-1]) >= 0
