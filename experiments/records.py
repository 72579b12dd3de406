"""``metrics.jsonl``: one line for each cycle, written to disk before the next cycle begins.

A line is there as a whole or not at all. Only a crash of the machine, or the death of the process
within a write, can leave a part of one; readers leave that part out, and it blocks no other run.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from typing import Any

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
                self._descriptor = _reopen(self.path)
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
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        try:
            if self._descriptor is None:
                self._descriptor = _create(self.path)
            _append(self._descriptor, line)
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
        if self._descriptor is None or _is_at(self.path, self._descriptor):
            return
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        os.close(self._descriptor)
        self._descriptor = None
        gone = f"{self.path} was removed or moved away during the run"
        try:
            os.makedirs(self._workdir, exist_ok=True)
            again = _create(self.path)
            try:
                _append(again, content)
            finally:
                os.close(again)
        except OSError as error:
            raise OSError(f"{gone}, and it cannot be written again: {error.strerror}") from error
        raise OSError(f"{gone}; its lines were written there again")


def has_lines(workdir: str) -> bool:
    """Returns whether a work directory holds a run of at least one cycle."""
    path = os.path.join(workdir, METRICS)
    return os.path.isfile(path) and bool(_split(_content(path))[0])


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
    lines = _split(_content(path))[0] if os.path.exists(path) else []
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
    path = os.path.join(workdir, METRICS)
    records = []
    for number, line in enumerate(_split(_content(path))[0], start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # also bytes that are not text
            raise ValueError(f"line {number} of {path} is damaged: {error}") from error
        if not isinstance(record, dict):
            raise ValueError(f"line {number} of {path} is not a record")
        records.append(record)
    return records


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _split(content: bytes) -> tuple[list[bytes], bytes]:
    """Returns the lines of a file, and the part of a line with which it ends."""
    *lines, rest = content.split(b"\n")
    try:
        json.loads(rest)
    except (ValueError, RecursionError):
        return lines, rest
    return [*lines, rest], b""  # only the end of the line is missing


def _set_aside_part(workdir: str) -> None:
    """Makes room for a new file if there is one without a whole line."""
    path = os.path.join(workdir, METRICS)
    if not os.path.exists(path):
        return
    if not _content(path):
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


def _create(path: str) -> int:
    """Creates a file that nothing else can have under this name, and makes the name durable."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return descriptor


def _reopen(path: str) -> int:
    """Opens a file to append lines, and completes or removes what follows the last whole line."""
    lines, _ = _split(content := _content(path))
    whole = b"".join(line + b"\n" for line in lines)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        os.ftruncate(descriptor, min(len(whole), len(content)))
        if len(whole) > len(content):
            _append(descriptor, b"\n")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _append(descriptor: int, data: bytes) -> None:
    """Writes all of the data to disk, or nothing."""
    before = os.fstat(descriptor).st_size
    try:
        rest = data
        while rest:  # one call, unless the disk fills up: then the next one says so
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _cannot_write(path: str, error: OSError) -> OSError:
    return OSError(f"{path} cannot be written: {error.strerror}")
