"""A line of ``metrics.jsonl`` is whole or absent, and nobody writes over another's lines."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import shutil
import subprocess
import time

import pytest

from experiments import lock, loop, preparation, records, revision
from experiments.config import Config
from ntk_al import training
from tests.experiments import stubbed

LINE = {"cycle": 0, "queried": list(range(100))}


@pytest.fixture
def workdir(tmp_path):
    return str(tmp_path)


@contextlib.contextmanager
def opened(workdir):
    file = records.MetricsFile(workdir)
    try:
        yield file
    finally:
        file.close()


def write_lines(workdir, number):
    with opened(workdir) as file:
        for cycle in range(number):
            file.write({**LINE, "cycle": cycle})
    return os.path.join(workdir, records.METRICS)


def cycles(workdir):
    return [record["cycle"] for record in records.read(workdir)]


@pytest.mark.quick
def test_lines_are_read_as_they_were_written(workdir):
    write_lines(workdir, 3)
    assert records.read(workdir) == [{**LINE, "cycle": cycle} for cycle in range(3)]
    assert os.listdir(workdir) == [records.METRICS]


def test_a_file_without_a_line_is_not_left(workdir):
    write_lines(workdir, 0)
    assert not os.listdir(workdir)


@pytest.mark.filterwarnings("ignore:.*held no whole line")
def test_a_file_that_is_cut_anywhere_loses_no_whole_line_and_without_one_blocks_nobody(tmp_path):
    content = open(write_lines(str(tmp_path), 2), "rb").read()  # noqa: SIM115
    end = content.index(b"\n")
    for cut in (0, 1, end // 2, end - 1, end, end + 1, end + 2, len(content) - 2, len(content) - 1):
        workdir = tmp_path / f"cut-{cut}"
        workdir.mkdir()
        (workdir / records.METRICS).write_bytes(content[:cut])
        whole = (cut >= end) + (cut >= len(content) - 1)
        assert cycles(str(workdir)) == list(range(whole))
        if whole:
            with pytest.raises(FileExistsError, match=f"has {whole} lines"):
                records.MetricsFile(str(workdir))
            assert (workdir / records.METRICS).read_bytes() == content[:cut]
        else:
            write_lines(str(workdir), 3)
            assert cycles(str(workdir)) == [0, 1, 2]
            if cut:
                assert (workdir / f"{records.CUT_OFF}-1").read_bytes() == content[:cut]


def test_a_part_of_a_first_line_is_kept_and_said(tmp_path):
    (tmp_path / records.METRICS).write_text('{"cycle": 0, "que')
    (tmp_path / f"{records.CUT_OFF}-1").write_text("another")
    with pytest.warns(UserWarning, match=r"held no whole line, .* it is now .*metrics.cut-off-2"):
        write_lines(str(tmp_path), 1)
    assert (tmp_path / f"{records.CUT_OFF}-1").read_text() == "another"


@pytest.mark.parametrize("line", [b"not json", b"\xff\xfe\x00", b"[1]", b"[" * 10000, b""])
def test_a_damaged_line_is_named(workdir, line):
    path = write_lines(workdir, 1)
    with open(path, "ab") as file:
        file.write(line + b"\n{}\n")
    with pytest.raises(ValueError, match=rf"^line 2 of {path} is [^\n]*$"):
        records.read(workdir)
    with pytest.raises(FileExistsError, match="has 3 lines"):
        records.MetricsFile(workdir)


@pytest.mark.parametrize("room", [0, 1, 200, 350])
def test_a_disk_that_fills_up_within_a_line_leaves_the_lines_before(workdir, room):
    with opened(workdir) as file:
        file.write(LINE)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = os.path.getsize(file.path)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
            with pytest.raises(OSError, match=r"metrics.jsonl cannot be written: File too large"):
                file.write(LINE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.path.getsize(file.path) == size
        file.write({**LINE, "cycle": 1})
    assert cycles(workdir) == [0, 1]


@pytest.mark.parametrize("written", [0, 1, 100])
def test_a_write_that_stops_short_leaves_no_part_of_a_line(workdir, monkeypatch, written):
    write = os.write
    answers = iter([written, OSError(errno.ENOSPC, "No space left on device")])

    def short(descriptor, data):
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return write(descriptor, data[:answer])

    with opened(workdir) as file:
        file.write(LINE)
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space left on device"):
            file.write(LINE)
        monkeypatch.undo()
    assert open(file.path, "rb").read().endswith(b"\n")  # noqa: SIM115
    assert cycles(workdir) == [0]


def test_a_small_full_disk(tmp_path):
    workdir = tmp_path / "disk"
    with mounted(workdir, "size=16k"):
        with pytest.raises(OSError, match="No space left on device"):
            write_lines(str(workdir), 1000)
        assert 10 < len(cycles(str(workdir))) < 1000
        assert (workdir / records.METRICS).read_bytes().endswith(b"\n")


@contextlib.contextmanager
def mounted(path, options):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=False)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with (
        mounted(tmp_path / "disk", "ro"),
        pytest.raises(OSError, match="disk cannot be written: Read-only file system"),
    ):
        records.MetricsFile(str(tmp_path / "disk"))
    with pytest.raises(OSError, match="none cannot be written: No such file"):
        records.MetricsFile(str(tmp_path / "none"))


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_the_lines_of_a_vanished_folder_are_written_again(tmp_path, how):
    workdir = str(tmp_path / "run")
    os.mkdir(workdir)
    file = records.MetricsFile(workdir)
    file.write(LINE)
    if how == "removed":
        shutil.rmtree(workdir)
    elif how == "moved":
        os.rename(workdir, tmp_path / "elsewhere")
    else:
        os.remove(file.path)
    with pytest.raises(OSError, match="removed or moved away during the run; its lines were"):
        file.write({**LINE, "cycle": 1})
    file.close()
    assert cycles(workdir) == [0, 1]


def test_lines_are_written_again_at_the_end_but_never_over_those_of_another_run(tmp_path):
    workdir = str(tmp_path / "run")
    os.mkdir(workdir)
    file = records.MetricsFile(workdir)
    file.write(LINE)
    shutil.rmtree(workdir)
    with pytest.raises(OSError, match="its lines were written there again"):
        file.close()
    assert cycles(workdir) == [0]

    shutil.rmtree(workdir)
    os.mkdir(workdir)
    file = records.MetricsFile(workdir)
    file.write(LINE)
    shutil.rmtree(workdir)
    os.mkdir(workdir)
    write_lines(workdir, 4)
    with pytest.raises(OSError, match="it cannot be written again: File exists"):
        file.close()
    assert cycles(workdir) == [0, 1, 2, 3]


def test_one_run_at_a_time(workdir):
    with opened(workdir), pytest.raises(FileExistsError, match=f"in use by process {os.getpid()}"):
        records.MetricsFile(workdir)
    write_lines(workdir, 1)


def test_a_dead_process_holds_no_lock(tmp_path):
    (tmp_path / lock.LOCK).write_text("1\n")  # of a process that even lives, but locks nothing
    write_lines(str(tmp_path), 1)
    assert os.listdir(tmp_path) == [records.METRICS]


def test_a_file_system_without_locks_is_said(workdir, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(UserWarning, match="cannot be locked here: let no second process"):
        write_lines(workdir, 1)
    assert cycles(workdir) == [0]


# Whole runs, in which nothing is trained.


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(training, "fit", stubbed.fit)
    monkeypatch.setattr(training, "accuracy", lambda *_: 0.5)
    monkeypatch.setattr(revision, "git_revision", lambda: None)


def settings(tmp_path, **changes):
    given = {**stubbed.SETTINGS, "strategy": ("random",), "dataset": stubbed.dataset(tmp_path)}
    return Config(**{**given, **changes})


@pytest.mark.usefixtures("stub")
def test_a_clock_that_jumps_changes_no_duration(tmp_path, monkeypatch):
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(jumps) * 1e8)
    config = settings(tmp_path, workdir=str(tmp_path / "run"), cycles=1)  # Orbax minds such jumps
    loop.run(preparation.prepare(config))
    (line,) = records.read(config.workdir)
    assert 0 <= line["train_seconds"] < 60
    assert 0 <= line["query_seconds"] < 60


@pytest.mark.usefixtures("stub")
def test_runs_of_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    config = settings(tmp_path, cycles=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "20200101-000000")
    found = [loop.run(preparation.prepare(config)) for _ in range(3)]
    assert len(set(found)) == 3
    assert all(cycles(workdir) == [0] for workdir in found)


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("left", ["", '{"cycle": 0, "str'])
@pytest.mark.filterwarnings("ignore:.*held no whole line")
def test_what_a_killed_run_leaves_does_not_block_the_next(tmp_path, left):
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / records.METRICS).write_text(left)
    (workdir / lock.LOCK).write_text("123\n")
    (workdir / "accuracy.png.tmp").write_text("half")
    config = settings(tmp_path, workdir=str(workdir))
    loop.run(preparation.prepare(config))
    assert cycles(str(workdir)) == [0, 1, 2, 3, 4]
    before = (workdir / records.METRICS).read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run"):
        preparation.prepare(config)
    assert (workdir / records.METRICS).read_bytes() == before
    assert all(json.loads(line) for line in before.splitlines())
