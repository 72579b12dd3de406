"""How runs are given to worker processes, with processes that do nothing."""

from __future__ import annotations

import json
import types

import pytest

from experiments.config import Config
from experiments.sweep import execution
from experiments.sweep.grid import Run

pytestmark = pytest.mark.quick


MADE = []


class Process:
    """A worker that says of each run that it is finished."""

    def __init__(self, *_, **__):
        MADE.append(self)
        self.num_runs, self.ended = 0, False
        self.stdin = types.SimpleNamespace(write=self._count, flush=lambda: None)
        self.stdout = iter(lambda: json.dumps({"finished": True}), None)

    def _count(self, line):
        assert not self.ended
        self.num_runs += line.count("\n")

    def poll(self):
        return 0 if self.ended else None

    def kill(self):
        self.ended = True

    def wait(self):
        return 0


def test_a_worker_does_a_few_runs_and_the_next_one_the_next_few(monkeypatch, tmp_path):
    monkeypatch.setattr(execution.subprocess, "Popen", Process)
    monkeypatch.setattr(execution, "MOST_RUNS", 3)
    runs = [
        Run(str(number), Config(seed=number, workdir=str(tmp_path / str(number))))
        for number in range(7)
    ]
    ended = []
    execution.execute(runs, execution.Options(), print, lambda *of: ended.append(of), {})
    assert ended == [(run, None) for run in runs]
    assert [process.num_runs for process in MADE] == [3, 3, 1]
    assert all(process.ended for process in MADE)
