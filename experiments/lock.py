"""One process at a time writes into a work directory."""

from __future__ import annotations

import os

from ntk_al._utils import lock

LOCK = "run.lock"
"""The file in the work directory that is locked."""

_ADVICE = "choose another --workdir, or wait until that run ends."


class Lock(lock.Lock):
    """The lock on a work directory; see ``ntk_al._utils.lock``.

    Raises:
      FileExistsError: if another process holds the lock.
      OSError: if the file cannot be written.
    """

    def __init__(self, workdir: str) -> None:
        super().__init__(os.path.join(workdir, LOCK), _ADVICE)


def check_not_held(workdir: str) -> None:
    """Raises FileExistsError if another process holds the lock of a work directory."""
    lock.check_not_held(os.path.join(workdir, LOCK), _ADVICE)
