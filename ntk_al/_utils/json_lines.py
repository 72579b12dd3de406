"""Files of JSON lines to which whole lines are appended, each on disk before the call returns.

A line is there as a whole or not at all. Only a crash of the machine, or the death of the process
within a write, can leave a part of one at the end; readers leave that part out.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any


def read(path: str) -> tuple[list[dict[str, Any]], bytes]:
    """Reads the objects of a file, in order, and the part of a line with which it ends, if any.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if a line is not an object; the message says which.
    """
    lines, part = split(content(path))
    objects = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # also bytes that are not text
            raise ValueError(f"line {number} of {path} is damaged: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(f"line {number} of {path} is not a record")
        objects.append(value)
    return objects, part


def content(path: str) -> bytes:
    """Returns the bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def split(content: bytes) -> tuple[list[bytes], bytes]:
    """Returns the lines in a file's bytes, and the part of a line with which they end."""
    *lines, rest = content.split(b"\n")
    try:
        json.loads(rest)
    except (ValueError, RecursionError):
        return lines, rest
    return [*lines, rest], b""  # only the end of the line is missing


def encode(value: dict[str, Any]) -> bytes:
    """Returns an object as a line.

    Raises:
      ValueError: if it holds NaN or an infinite number, which JSON has not.
    """
    return (json.dumps(value, allow_nan=False) + "\n").encode()


def create(path: str) -> int:
    """Creates a file that nothing else can have under this name, and makes the name durable.

    Returns:
      A descriptor for ``append``.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return descriptor


def reopen(path: str) -> int:
    """Opens a file to append lines, and completes or removes what follows the last whole line.

    Returns:
      A descriptor for ``append``.
    """
    lines, _ = split(found := content(path))
    whole = b"".join(line + b"\n" for line in lines)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        os.ftruncate(descriptor, min(len(whole), len(found)))
        if len(whole) > len(found):
            append(descriptor, b"\n")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def append(descriptor: int, data: bytes) -> None:
    """Writes all of the data to disk, or nothing.

    Raises:
      OSError: if it cannot be written.
    """
    before = os.fstat(descriptor).st_size
    try:
        rest = data
        while rest:  # one call, unless the disk fills up: then the next one says so
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def is_at(path: str, descriptor: int) -> bool:
    """Returns whether a path leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False
