"""One process at a time writes into a work directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import warnings

LOCK = "run.lock"

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems without locks answer."""


class Lock:
    """A lock on a work directory, which the system releases however the process ends.

    The file holds the process id, for the message to others. Left behind by a process that was
    killed, it is not locked and bars nobody.

    Raises:
      FileExistsError: if another process holds the lock.
      OSError: if the file cannot be written.
    """

    def __init__(self, workdir: str) -> None:
        self._path = os.path.join(workdir, LOCK)
        self._descriptor = _acquire(workdir, self._path)
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Removes the file and lets others in."""
        with contextlib.suppress(OSError):
            if _names(self._path, self._descriptor):
                os.remove(self._path)
        os.close(self._descriptor)


def check_not_held(workdir: str) -> None:
    """Raises FileExistsError if another process holds the lock of a work directory.

    A process that takes the lock at this very moment may be refused, so that this is for work
    directories that nobody may take.
    """
    try:
        descriptor = os.open(os.path.join(workdir, LOCK), os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(workdir, descriptor) from None
    except OSError:
        return  # a file system without locks
    finally:
        os.close(descriptor)


def _acquire(workdir: str, path: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            error = _in_use(workdir, descriptor)
            os.close(descriptor)
            raise error from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            warnings.warn(
                f"the file system of {workdir} has no locks: do not start a second run there",
                stacklevel=2,
            )
        # The holder before may have removed the file between the two calls; then it locks nobody.
        if _names(path, descriptor):
            return descriptor
        os.close(descriptor)


def _in_use(workdir: str, descriptor: int) -> FileExistsError:
    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return FileExistsError(
        f"{workdir} is in use by {f'process {holder}' if holder else 'another process'}. "
        "Nothing was changed: choose another --workdir, or wait until that run ends."
    )


def _names(path: str, descriptor: int) -> bool:
    """Returns whether a path leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
