"""``metrics.jsonl``: one line for each cycle, written to disk before the next cycle begins."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from .figures import ACCURACY

METRICS = "metrics.jsonl"


class MetricsFile:
    """The file for the records of a run, in a work directory that must not hold another run."""

    def __init__(self, workdir: str) -> None:
        check_free(workdir)
        self.path = os.path.join(workdir, METRICS)
        # If two runs start at once in one work directory, "x" makes the second one fail here.
        self._file = open(self.path, "x", encoding="utf-8")  # noqa: SIM115

    def write(self, record: dict[str, Any]) -> None:
        """Appends a line and syncs it to disk, so that it survives if the run is killed later."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file, and removes it if no cycle was completed."""
        empty = self._file.tell() == 0
        self._file.close()
        if empty:
            os.remove(self.path)


def check_free(workdir: str) -> None:
    """Raises FileExistsError if the work directory holds a run, or is not a directory."""
    if os.path.exists(workdir) and not os.path.isdir(workdir):
        raise FileExistsError(f"workdir {workdir} is a file")
    path = os.path.join(workdir, METRICS)
    if os.path.exists(os.path.join(workdir, ACCURACY)) and not os.path.exists(path):
        raise FileExistsError(
            f"{workdir} holds an {ACCURACY} that this run would replace: choose another --workdir"
        )
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            cycles = sum(1 for _ in file)
        raise FileExistsError(
            f"{workdir} already holds a run ({METRICS} has {cycles} lines). Nothing was changed: "
            "choose another --workdir, or move the old run away."
        )


def read(workdir: str) -> list[dict[str, Any]]:
    """Reads the records in a work directory, in order."""
    with open(os.path.join(workdir, METRICS), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def git_revision() -> str | None:
    """Returns the commit of this code, with "-dirty" if it has been changed since.

    The result is ``None`` if this file is not under version control. This includes installed
    copies, even if the environment lies inside some other repository.
    """
    try:
        _git("ls-files", "--error-unmatch", os.path.basename(__file__))
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--match=")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    answer = subprocess.run(
        ["git", *arguments],
        cwd=os.path.dirname(os.path.abspath(__file__)),
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()
