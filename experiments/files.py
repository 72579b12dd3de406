"""Writing a file as a whole or not at all."""

from __future__ import annotations

import contextlib
import os


def write(path: str, text: str) -> None:
    """Replaces a file, so that whatever ends the process leaves the old content or the new.

    Raises:
      OSError: if it cannot be written; the message names the file.
    """
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise OSError(f"{path} cannot be written: {error.strerror}") from error
