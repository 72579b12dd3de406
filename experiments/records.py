"""``metrics.jsonl``: one line for each cycle, written to disk before the next cycle begins.

A line is there as a whole or not at all. Only a crash of the machine, or the death of the process
within a write, can leave a part of one; readers leave that part out, and it blocks no other run.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from ntk_al._utils import json_lines

from . import lock

METRICS = "metrics.jsonl"
ACCURACY = "accuracy.png"
SWEEP = "sweep.json"
"""The definition of a sweep, in the directory that holds its runs."""
CUT_OFF = "metrics.cut-off"
"""The name under which the part of a first line is kept."""


class MetricsFile:
    """The file for the records of a run, and the only one to write into the work directory.

    Args:
      workdir: the work directory.
      resume: whether to go on with the run that the work directory holds, if any. Its lines stay;
        the part of a line at the end, if any, is removed.

    Attributes:
      path: the file.
      earlier: the records that were there.

    Raises:
      FileExistsError: if the work directory holds another run, finished or not, unless ``resume``.
      OSError: if the work directory cannot be written.
      ValueError: if a line that was there is not a record.
    """

    def __init__(self, workdir: str, resume: bool = False) -> None:
        self._workdir = workdir
        self.earlier: list[dict[str, Any]] = []
        self.path = os.path.join(workdir, METRICS)
        self._descriptor: int | None = None
        try:
            self._lock = lock.Lock(workdir)
        except FileExistsError:
            raise
        except OSError as error:
            raise _cannot_write(workdir, error) from error
        try:
            if resume and has_lines(workdir):
                self.earlier = read(workdir)
                self._descriptor = json_lines.reopen(self.path)
            else:
                _check_free(workdir)
                _set_aside_part(workdir)
        except BaseException:
            self._lock.release()
            raise

    def write(self, record: dict[str, Any]) -> None:
        """Appends a line and syncs it to disk, so that it survives if the run is killed later.

        Raises:
          OSError: if the line cannot be written, and then no part of it is left; or if the file was
            removed or moved away by somebody else, and then its lines are written again.
        """
        line = json_lines.encode(record)
        try:
            if self._descriptor is None:
                self._descriptor = json_lines.create(self.path)
            json_lines.append(self._descriptor, line)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._check_there()

    def close(self) -> None:
        """Closes the file, removes it if it has no line, and lets others into the work directory.

        Raises:
          OSError: if the file was removed or moved away; its lines are written again.
        """
        try:
            self._check_there()
        finally:
            if self._descriptor is not None:
                if os.fstat(self._descriptor).st_size == 0:
                    os.remove(self.path)
                os.close(self._descriptor)
                self._descriptor = None
            self._lock.release()

    def _check_there(self) -> None:
        """Writes the lines again and raises OSError if the path does not lead to them any more."""
        if self._descriptor is None or json_lines.is_at(self.path, self._descriptor):
            return
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        os.close(self._descriptor)
        self._descriptor = None
        gone = f"{self.path} was removed or moved away during the run"
        try:
            os.makedirs(self._workdir, exist_ok=True)
            again = json_lines.create(self.path)
            try:
                json_lines.append(again, content)
            finally:
                os.close(again)
        except OSError as error:
            raise OSError(f"{gone}, and it cannot be written again: {error.strerror}") from error
        raise OSError(f"{gone}; its lines were written there again")


def has_lines(workdir: str) -> bool:
    """Returns whether a work directory holds a run of at least one cycle."""
    path = os.path.join(workdir, METRICS)
    return os.path.isfile(path) and bool(json_lines.split(json_lines.content(path))[0])


def check_free(workdir: str) -> None:
    """Raises FileExistsError if the work directory holds a run, or is not a directory.

    The message names the process of a run that still goes on.
    """
    try:
        _check_free(workdir)
    except FileExistsError:
        lock.check_not_held(workdir)
        raise


def _check_free(workdir: str) -> None:
    if os.path.exists(workdir) and not os.path.isdir(workdir):
        raise FileExistsError(f"workdir {workdir} is a file")
    if os.path.exists(os.path.join(workdir, SWEEP)):
        raise FileExistsError(f"{workdir} is the directory of a sweep: choose another --workdir")
    path = os.path.join(workdir, METRICS)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(f"{path} is not a file: choose another --workdir")
    lines = json_lines.split(json_lines.content(path))[0] if os.path.exists(path) else []
    if lines:
        raise FileExistsError(
            f"{workdir} already holds a run ({METRICS} has {len(lines)} lines). Nothing was "
            "changed: choose another --workdir, or move the old run away."
        )
    if os.path.exists(os.path.join(workdir, ACCURACY)):
        raise FileExistsError(
            f"{workdir} holds an {ACCURACY} that this run would replace: choose another --workdir"
        )


def read(workdir: str) -> list[dict[str, Any]]:
    """Reads the records in a work directory, in order, without a part of a line at the end.

    Raises:
      FileNotFoundError: if there is no ``metrics.jsonl``.
      ValueError: if a line is not a record; the message says which.
    """
    return json_lines.read(os.path.join(workdir, METRICS))[0]


def _set_aside_part(workdir: str) -> None:
    """Makes room for a new file if there is one without a whole line."""
    path = os.path.join(workdir, METRICS)
    if not os.path.exists(path):
        return
    if not json_lines.content(path):
        os.remove(path)
        return
    number = 1
    while os.path.exists(aside := os.path.join(workdir, f"{CUT_OFF}-{number}")):
        number += 1
    os.rename(path, aside)
    warnings.warn(
        f"{path} held no whole line, only a part of the first: it is now {aside}, and the run "
        "begins anew",
        stacklevel=2,
    )


def _cannot_write(path: str, error: OSError) -> OSError:
    return OSError(f"{path} cannot be written: {error.strerror}")
