"""Writing a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Replaces a file, so that whatever ends the process leaves the old content or the new.

    What a killed process had begun to write beside the file is removed by the next call.

    Args:
      path: the file.

    Yields:
      The path of a file to write instead. It takes the place of ``path`` if no error is raised.

    Raises:
      OSError: if the file cannot be written; the message names it.
    """
    _remove_abandoned(path)
    part = f"{path}.{os.getpid()}.part"
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def write(path: str, text: str) -> None:
    """Replaces a file by a text, as a whole.

    Raises:
      OSError: if it cannot be written; the message names the file.
    """
    with replacing(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)


def _remove_abandoned(path: str) -> None:
    """Removes what processes that no longer run had begun to write in place of a file."""
    for part in glob.glob(f"{glob.escape(path)}.*.part"):
        number = part[len(path) + 1 : -len(".part")]
        if number.isdecimal() and not _is_running(int(number)):
            with contextlib.suppress(OSError):
                os.remove(part)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where the call below is no question: it ends the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or no process of ours
        return True
    return True
