"""The log on disk: cut off, damaged, of a later version, held by another process, without room."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest

from ntk_al import labeling
from ntk_al.labeling import log

EVENTS = "events.jsonl"


def path(folder):
    return os.path.join(folder, EVENTS)


def content(folder):
    with open(path(folder), "rb") as file:
        return file.read()


def overwrite(folder, data):
    with open(path(folder), "wb") as file:
        file.write(data)


@pytest.fixture
def told(create, folder):
    """A closed campaign with three labels."""
    campaign = create()
    for i in range(3):
        campaign.tell(i, i)
    campaign.close()
    return content(folder)


def test_a_log_that_is_cut_anywhere_keeps_every_whole_event_and_says_what_it_drops(
    told, folder, reopen
):
    ends = [i for i, byte in enumerate(told) if byte == ord("\n")]
    for cut in range(ends[-2] + 1, len(told) + 1):
        overwrite(folder, told[:cut])
        is_whole = cut == ends[-2] + 1 or cut >= ends[-1]
        if is_whole:
            campaign = reopen()
        else:
            with pytest.warns(UserWarning, match="the last event of .* was cut off"):
                campaign = reopen()
        assert campaign.labels == {i: i for i in range(3 if cut >= ends[-1] else 2)}
        campaign.tell(9, 2)
        campaign.close()
        again = reopen()
        assert again.labels[9] == 2
        again.close()


@pytest.mark.quick
@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], b"not json", *lines[2:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0], lines[1].replace(b"labeled", b"loved"), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b'"id"', b'"ID"'), *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[1].replace(b'"label": 0', b'"label": 1'), *lines[2:]],
    ],
    ids=[
        "no JSON",
        "a line is missing",
        "a line twice",
        "unknown event",
        "field",
        "no first",
        "another label",
    ],
)
def test_a_damaged_log_is_refused_with_its_line_and_left_alone(told, folder, reopen, damage):
    damaged = b"\n".join(damage(told.splitlines())) + b"\n"
    overwrite(folder, damaged)
    with pytest.raises(ValueError, match=rf"line [125] of {path(folder)} is "):
        reopen()
    assert content(folder) == damaged


@pytest.mark.quick
def test_a_campaign_of_a_later_version_is_refused(told, folder, reopen):
    first, *rest = told.splitlines()
    later = json.dumps({**json.loads(first), "format": 2, "teams": []}).encode()
    overwrite(folder, b"\n".join([later, *rest]) + b"\n")
    with pytest.raises(ValueError, match=r"later version of ntk-al \(format 2; this one knows 1"):
        reopen()


@pytest.mark.quick
def test_a_creation_that_was_cut_off_is_begun_anew(create, folder):
    os.makedirs(folder)
    overwrite(folder, b'{"number": 0, "at": "20')
    campaign = create()
    campaign.tell(1, 0)
    assert campaign.labels == {1: 0}


@pytest.mark.quick
def test_of_two_creations_at_once_the_second_leaves_the_ids_of_the_first(
    create, reopen, folder, monkeypatch
):
    """The second one looks before the first one has written, and comes to write after it."""
    first = create(ids=[f"a{i}" for i in range(60)])
    check = log.check_none
    looks = iter([lambda folder: None, check])
    monkeypatch.setattr(log, "check_none", lambda folder: next(looks)(folder))
    with pytest.raises(FileExistsError, match="in use by process"):
        create(ids=[f"b{i}" for i in range(60)])
    first.close()
    looks = iter([lambda folder: None, check])
    with pytest.raises(FileExistsError, match="holds a campaign already"):
        create(ids=[f"b{i}" for i in range(60)])
    campaign = reopen()
    campaign.tell("a3", 1)
    assert campaign.labels == {"a3": 1}


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_is_said_and_loses_nothing(create, reopen, folder, room):
    campaign = create()
    campaign.tell(1, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(content(folder)) + room, hard))
        with pytest.raises(OSError, match=rf"{EVENTS} cannot be written, and nothing was: File"):
            campaign.tell([2, 3], [1, 1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert campaign.labels == {1: 0}
    campaign.tell([4, 5], [1, 1])
    assert reopen(campaign).labels == {1: 0, 4: 1, 5: 1}


@pytest.mark.quick
def test_a_log_that_was_moved_away_is_not_written_past(create, folder):
    campaign = create()
    os.rename(path(folder), path(folder) + ".old")
    with pytest.raises(OSError, match="was removed or moved away while the campaign was open"):
        campaign.tell(1, 0)
    assert campaign.labels == {}


OPENS = """
import sys, numpy as np
from ntk_al import labeling
try:
    labeling.Campaign.open(sys.argv[1], np.load(sys.argv[2]))
except FileExistsError as error:
    print(error)
"""


def test_a_second_process_is_refused_with_the_id_of_the_first(create, folder, pool, tmp_path):
    import numpy as np

    np.save(tmp_path / "pool.npy", pool[0])
    campaign = create()
    command = [sys.executable, "-c", OPENS, folder, str(tmp_path / "pool.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"is in use by process {os.getpid()}" in done.stdout
    assert "close the campaign there" in done.stdout
    campaign.tell(1, 0)
    campaign.close()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stdout


@pytest.mark.quick
def test_one_process_opens_a_campaign_once(create, folder, pool):
    campaign = create()
    with pytest.raises(FileExistsError, match=f"in use by process {os.getpid()}"):
        labeling.Campaign.open(folder, pool[0])
    campaign.tell(1, 0)
