"""A file is replaced as a whole, and nothing is left beside it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ntk_al._utils import files

DIES_WHILE_WRITING = """
import os, signal, sys
from ntk_al._utils import files
with files.replacing(sys.argv[1]) as part, open(part, "w") as file:
    file.write("ha")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def fail_halfway(path):
    with open(path, "w") as file:
        file.write("ne")
        raise ZeroDivisionError


def test_a_file_is_replaced_and_stands_alone(tmp_path):
    path = tmp_path / "numbers[1].csv"
    for text in ("first", "second"):
        files.write(str(path), text)
        assert path.read_text() == text
    assert os.listdir(tmp_path) == [path.name]


def test_an_error_leaves_the_old_content_and_nothing_beside_it(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(str(path)) as part:
        fail_halfway(part)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_what_a_killed_process_had_begun_to_write_is_removed_by_the_next_writer(tmp_path):
    path = tmp_path / "numbers[1].csv"
    path.write_text("old")
    subprocess.run([sys.executable, "-c", DIES_WHILE_WRITING, str(path)], check=False)
    assert path.read_text() == "old"
    assert len(os.listdir(tmp_path)) == 2, "the process left its part"
    files.write(str(path), "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_what_a_running_process_writes_is_left_to_it(tmp_path):
    path = str(tmp_path / "numbers.csv")
    others = [f"{path}.{os.getppid()}.part", f"{path}.draft.part"]
    for other in others:
        with open(other, "w") as file:
            file.write("ha")
    files.write(path, "new")
    assert all(map(os.path.exists, others))
