"""Whole runs that are stopped, starved or robbed: a status, one line, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from experiments import lock, records
from tests import cases
from tests.experiments import forked

CYCLES = 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with forked.runs(tmp_path_factory.mktemp("server")) as runs:
        yield runs


@pytest.fixture
def workdir(tmp_path):
    return str(tmp_path / "run")


def whole_cycles(run):
    """The cycles on disk, all of which must be whole lines."""
    assert run.lines().endswith(b"\n") or not run.lines()
    return [json.loads(line)["cycle"] for line in run.lines().splitlines()]


def last_line(text):
    assert "Traceback" not in text
    assert text.count("error: ") + text.count("stopped by ") == 1, text
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, cases.thorough(signal.SIGINT)])
def test_a_stopped_run_keeps_its_cycles_says_so_and_is_not_overwritten(runs, workdir, number):
    run = runs.start(workdir, pause=0.5)
    run.wait_for_lines(2)
    run.send(number)
    status, kept = run.wait(), run.lines()
    assert whole_cycles(run) == [0, 1]
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number
        said = f"stopped by {number.name}; the cycles that were completed are in {workdir}"
        assert last_line(run.text()) == f"{said}; --resume goes on with them"
    status, text = runs.run(workdir)
    assert status == 1
    assert "already holds a run (metrics.jsonl has 2 lines)" in last_line(text)
    assert run.lines() == kept


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_stopped_in_its_first_cycle_blocks_no_other(runs, workdir, number):
    run = runs.start(workdir, pause=60)
    wait_for(os.path.join(workdir, lock.LOCK))
    run.send(number)
    assert run.wait() != 0
    status, text = runs.run(workdir)
    assert status == 0, text
    assert whole_cycles(run) == list(range(CYCLES))
    assert sorted(os.listdir(workdir)) == ["accuracy.png", "metrics.jsonl"]


@pytest.mark.parametrize("lines", [0, 1])
def test_a_second_process_is_refused_with_the_pid_of_the_first(runs, workdir, lines):
    run = runs.start(workdir, pause=1.5 if lines else 3)
    wait_for(os.path.join(workdir, lock.LOCK))
    run.wait_for_lines(lines)
    status, text = runs.run(workdir)
    assert status == 1
    assert f"is in use by process {run.pid}. Nothing was changed" in last_line(text)
    assert os.path.exists(os.path.join(workdir, lock.LOCK))
    run.send(signal.SIGKILL)
    run.wait()


def test_of_processes_that_start_at_once_one_runs(runs, workdir):
    started = [runs.start(workdir) for _ in range(4)]
    statuses = [run.wait() for run in started]
    assert sorted(statuses) == [0, 1, 1, 1]
    assert whole_cycles(started[0]) == list(range(CYCLES))
    for run, status in zip(started, statuses, strict=True):
        if status:
            assert "Nothing was changed" in last_line(run.text())


@pytest.mark.parametrize("room", [500, 2000])
def test_a_full_disk_ends_with_a_line_after_the_cycles_before(runs, workdir, room):
    status, text = runs.run(workdir, file_size=room)
    assert status == 1
    assert "cannot be written: File too large" in last_line(text)
    if room == 500:  # less than a line
        assert not os.path.exists(f"{workdir}/metrics.jsonl")
    else:
        done = [line["cycle"] for line in records.read(workdir)]
        assert 1 <= len(done) < CYCLES
        assert done == list(range(len(done)))


def test_a_disk_that_is_too_full_for_the_picture_keeps_every_cycle(runs, workdir):
    status, text = runs.run(workdir, file_size=6000)
    assert status == 1
    assert "accuracy.png cannot be written" in last_line(text)
    assert len(records.read(workdir)) == CYCLES
    assert os.listdir(workdir) == ["metrics.jsonl"]


def test_a_folder_that_vanishes_is_made_again_with_the_cycles_it_held(runs, workdir):
    run = runs.start(workdir, pause=0.5)
    run.wait_for_lines(2)
    os.rename(workdir, f"{workdir}-elsewhere")
    assert run.wait() == 1
    assert "removed or moved away during the run" in last_line(run.text())
    assert whole_cycles(run) in ([0, 1], [0, 1, 2])  # by the moment at which it was removed


def test_a_read_only_disk_is_named(runs, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted_read_only(disk):
        status, text = runs.run(str(disk / "run"))
        assert status == 1
        assert f"work directory {disk}/run cannot be made: Read-only" in last_line(text)
        status, text = runs.run(str(disk))
        assert status == 1
        assert f"{disk} cannot be written: Read-only" in last_line(text)


@contextlib.contextmanager
def mounted_read_only(path):
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=False)


def wait_for(path):
    deadline = time.monotonic() + forked.PATIENCE
    while not os.path.exists(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
