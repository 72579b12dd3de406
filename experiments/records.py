"""``metrics.jsonl``: one line per cycle, on disk before the next cycle begins."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from .figures import ACCURACY

METRICS = "metrics.jsonl"


class MetricsFile:
    """The records of a run, in a work directory that holds no other."""

    def __init__(self, workdir: str) -> None:
        check_free(workdir)
        self.path = os.path.join(workdir, METRICS)
        # "x": of two runs started at once with one work directory, the second stops here.
        self._file = open(self.path, "x", encoding="utf-8")  # noqa: SIM115

    def write(self, record: dict[str, Any]) -> None:
        """Appends a line; a run that is killed later keeps it."""
        self._file.write(json.dumps(record, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; a run that completed no cycle leaves none behind."""
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
            f"{workdir} holds an {ACCURACY} that this run would replace: name another --workdir"
        )
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            cycles = sum(1 for _ in file)
        raise FileExistsError(
            f"{workdir} already holds a run ({METRICS} has {cycles} lines). Nothing was changed: "
            "name another --workdir, or move that one away."
        )


def read(workdir: str) -> list[dict[str, Any]]:
    """The records of a work directory, in order."""
    with open(os.path.join(workdir, METRICS), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def git_revision() -> str | None:
    """The commit of this code, with "-dirty" if it was changed since; ``None`` outside of git.

    An installed copy has none, even where the environment lies in a repository of its user.
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
