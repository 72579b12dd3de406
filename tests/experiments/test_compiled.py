"""Programs are kept between runs; what cannot be read is made again, and said."""

from __future__ import annotations

import os

import pytest

from tests.experiments import forked


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with forked.runs(tmp_path_factory.mktemp("server")) as runs:
        yield runs


@pytest.fixture
def warnings_of_a_run(runs, tmp_path):
    """Runs with programs under ``cache``."""
    numbers = iter(range(100))

    def run():
        workdir = tmp_path / f"run-{next(numbers)}"
        status, text = runs.run(str(workdir), cache=tmp_path / "cache", cycles=1)
        assert status == 0, text
        return [line for line in text.splitlines() if line.startswith("warning: ")]

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "ntk_al" / "compiled"


def programs(folder):
    return sorted(path for path in folder.iterdir() if path.name.endswith("-cache"))


def test_programs_are_kept_for_their_user_alone(warnings_of_a_run, folder):
    assert not warnings_of_a_run()
    kept = {path: path.read_bytes() for path in programs(folder)}
    assert kept
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not warnings_of_a_run()
    assert {path: path.read_bytes() for path in programs(folder)} == kept


def test_damaged_programs_are_replaced_and_said_once(warnings_of_a_run, folder):
    warnings_of_a_run()
    kept = programs(folder)
    for number, path in enumerate(kept):
        whole = path.read_bytes()
        path.write_bytes([b"", whole[:-100], b"no program"][number % 3])
    said = warnings_of_a_run()
    assert 0 < len(said) <= len(kept)  # all programs of one name are made again together
    assert all(f"in {folder} is damaged and is made again: " in line for line in said)
    assert programs(folder) == kept
    assert not warnings_of_a_run()


def test_processes_that_write_at_once_leave_whole_programs(runs, warnings_of_a_run, tmp_path):
    options = {"cache": tmp_path / "cache", "cycles": 1}
    started = [runs.start(str(tmp_path / f"at-once-{i}"), **options) for i in range(4)]
    assert [run.wait() for run in started] == [0] * 4
    assert not warnings_of_a_run()


def test_a_folder_in_which_others_may_write_is_not_used(warnings_of_a_run, folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    (said,) = warnings_of_a_run()
    assert f"compiled programs are not kept: {folder}: other users may write there" in said
    assert not os.listdir(folder)


def test_a_folder_that_cannot_be_made_costs_no_run(warnings_of_a_run, folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    (said,) = warnings_of_a_run()
    assert f"compiled programs are not kept: {folder}: File exists" in said
