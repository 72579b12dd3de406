"""Whole sweeps: finished by the same command however often they are killed."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from experiments import records
from experiments.sweep import directory
from tests.experiments import stubbed
from tests.paths import ROOT

SETTINGS = {
    **stubbed.SETTINGS,
    "strategy": "margin,random",
    "seed": "0..1",
    "epochs": 2,
    "cycles": 2,
    "restart": "warm",
}
NAMES = ["margin-seed=0", "random-seed=0", "margin-seed=1", "random-seed=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stubbed.dataset(tmp_path_factory.mktemp("data"))


def command(workdir, data, *more, **changes):
    settings = {**SETTINGS, "dataset": data, "workdir": workdir, **changes}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "experiments.sweep", *flags, *more]


def sweep(*arguments, **changes):
    done = subprocess.run(command(*arguments, **changes), cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def accuracies(workdir):
    return {
        name: [line["test_accuracy"] for line in records.read(os.path.join(workdir, name))]
        for name in NAMES
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    workdir = tmp_path_factory.mktemp("finished") / "sweep"
    done = sweep(workdir, data, "--logger=csv", "--logger=tensorboard")
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_a_sweep_does_every_run_in_a_directory_of_its_own(finished):
    workdir, said = finished
    assert sorted(os.listdir(workdir)) == sorted([*NAMES, "sweep.json"])
    assert list(directory.read_definition(str(workdir))) == NAMES
    assert all(len(own) == SETTINGS["cycles"] for own in accuracies(workdir).values())
    lines = said.strip().splitlines()
    assert [line.split()[1] for line in lines[:-1]] == NAMES  # a quiet log: one line a run
    assert lines[0].startswith("[1/4] margin-seed=0  accuracy ")
    assert lines[-1] == f"all 4 runs of {workdir} are finished"


def test_strategies_share_the_start_of_a_seed(finished):
    found = accuracies(finished[0])
    assert found["margin-seed=0"][0] == found["random-seed=0"][0]
    assert found["margin-seed=1"][0] == found["random-seed=1"][0]


def test_finished_runs_are_never_repeated(finished, data):
    workdir, _ = finished
    files = sorted(pathlib.Path(workdir).rglob("*"))
    before = [path.stat().st_mtime_ns for path in files]
    start = time.monotonic()
    done = sweep(workdir, data)
    assert done.returncode == 0
    assert sorted(pathlib.Path(workdir).rglob("*")) == files
    assert [path.stat().st_mtime_ns for path in files] == before
    assert time.monotonic() - start < 60


def test_runs_join_from_elsewhere_and_more_can_be_added(tmp_path, data, finished):
    first = sweep(tmp_path, data, "--list", seed=0).stdout.splitlines()[0].split()
    subprocess.run([sys.executable, *first[1:]], cwd=ROOT, check=True, capture_output=True)
    joined = records.read(str(tmp_path / "margin-seed=0"))
    assert sweep(tmp_path, data, "--extend").returncode == 0
    assert records.read(str(tmp_path / "margin-seed=0")) == joined
    assert list(directory.read_definition(str(tmp_path))) == NAMES
    assert accuracies(tmp_path) == accuracies(finished[0])


def test_a_sweep_that_is_killed_leaves_no_process_and_goes_on(tmp_path, data, finished):
    process = subprocess.Popen(
        command(tmp_path, data, "--jobs=2"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(tmp_path.glob("*/metrics.jsonl")))
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    assert sweep(tmp_path, data, "--jobs=2").returncode == 0
    assert accuracies(tmp_path) == accuracies(finished[0])


def test_a_run_that_fails_is_told_and_the_others_are_done(tmp_path, data):
    given = {"strategy": "random", "seed": "0", "learning_rate": "0.1,1e30"}
    done = sweep(tmp_path, data, **given)
    assert done.returncode == 1
    assert "1 of 2 runs failed; each has a failed.txt" in done.stderr
    failed = tmp_path / "random-learning_rate=1e+30-seed=0"
    assert "Retrain with a lower" in (failed / directory.FAILED).read_text() or (
        "learning rate" in (failed / directory.FAILED).read_text()
    )
    assert len(records.read(str(tmp_path / "random-seed=0"))) == SETTINGS["cycles"]
    again = sweep(tmp_path, data, **given)
    assert "[2/2] random-learning_rate=1e+30-seed=0  failed" in again.stdout


def test_loggers_repeat_the_records(finished):
    run = finished[0] / NAMES[0]
    rows = (run / "metrics.csv").read_text().splitlines()
    lines = records.read(str(run))
    assert rows[0].startswith("strategy,scheme,seed,cycle,num_labeled,test_accuracy")
    assert [float(row.split(",")[5]) for row in rows[1:]] == [
        line["test_accuracy"] for line in lines
    ]
    assert list((run / "tensorboard" / "margin").glob("events*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a sweep needs a directory: --workdir="),
        (["--workdir=x", "--flagfile=fig9.flags"], "fig2_mnist.flags"),
    ],
)
def test_a_wrong_command_line_is_explained_without_a_traceback(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.sweep", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def children(pid):
    """The processes that a process has started."""
    command = ["ps", "--ppid", str(pid), "-o", "pid="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]


def wait_until(condition, patience=120):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
