"""Runs that are killed, robbed of checkpoints, and resumed: the records are those of one run."""

from __future__ import annotations

import os
import pathlib
import signal
import time

import pytest

from experiments import checkpoints, records
from tests.experiments import forked
from tests.fuzz.damage import damaged

FLAGS = {
    "strategy": "margin,random",
    "restart": "warm",
    "epochs": 5,
    "cycles": 3,
    "init_size": 6,
}
WHOLE = 6  # records


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with forked.runs(tmp_path_factory.mktemp("server")) as runs:
        yield runs


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """The records of a run that was never stopped, and its duration."""
    workdir = str(tmp_path_factory.mktemp("whole"))
    for _ in range(2):  # the second finds compiled programs, as do the runs that follow
        workdir += "-again"
        start = time.monotonic()
        status, text = runs.run(workdir, train=True, **FLAGS)
        duration = time.monotonic() - start
        assert status == 0, text
    return repeatable(workdir), duration


@pytest.fixture
def new_workdir(tmp_path):
    numbers = iter(range(10**6))
    return lambda: str(tmp_path / f"run-{next(numbers)}")


def repeatable(workdir):
    lines = records.read(workdir)
    for line in lines:
        line.get("config", {}).pop("workdir", None)
    return [{k: v for k, v in line.items() if not k.endswith("_seconds")} for line in lines]


def resume(runs, workdir):
    return runs.run(workdir, first=["--resume"], train=True, **FLAGS)


def checkpoint_files(workdir):
    folder = pathlib.Path(workdir, checkpoints.FOLDER)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def test_a_run_killed_at_random_moments_ends_with_the_records_of_one_never_killed(
    fuzz, runs, whole, new_workdir
):
    expected, duration = whole

    def case(rng):
        workdir = new_workdir()
        for _ in range(rng.integers(1, 4)):
            run = runs.start(workdir, first=["--resume"], train=True, **FLAGS)
            time.sleep(rng.uniform(0.3, 1.0) * duration)
            run.send(signal.SIGKILL)
            assert run.wait() in (0, -signal.SIGKILL), run.text()
        status, text = resume(runs, workdir)
        assert status == 0, text
        assert "warning" not in text
        assert repeatable(workdir) == expected
        assert sorted(os.listdir(workdir)) == ["accuracy.png", "metrics.jsonl"]

    fuzz(case, short=3, full=40)


def test_damaged_checkpoints_are_noticed_and_the_cycles_before_are_used(
    fuzz, runs, whole, new_workdir
):
    expected, _ = whole

    def case(rng):
        workdir = new_workdir()
        run = runs.start(workdir, train=True, **FLAGS)
        run.wait_for_lines(int(rng.integers(1, WHOLE)))
        run.send(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        for path in rng.permutation(checkpoint_files(workdir))[: rng.integers(1, 4)]:
            path.write_bytes(damaged(rng, path.read_bytes()))
        status, text = resume(runs, workdir)
        assert status == 0, text
        assert "Traceback" not in text
        assert repeatable(workdir) == expected

    fuzz(case, short=2, full=40)
