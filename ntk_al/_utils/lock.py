"""One process at a time writes into a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems without locks answer."""


class Lock:
    """A lock on the folder of a file, which the system releases however the process ends.

    The file holds the process id, for the message to others. Left behind by a process that was
    killed, it is not locked and bars nobody.

    Args:
      path: the file; it is made in the folder, and removed from it at the end.
      advice: what others can do, for the message.

    Raises:
      FileExistsError: if another process holds the lock.
      OSError: if the file cannot be written.

    Warns:
      UserWarning: if the file system has no locks.
    """

    def __init__(self, path: str, advice: str) -> None:
        self._path = path
        self._descriptor = _acquire(path, advice)
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Removes the file and lets others in."""
        with contextlib.suppress(OSError):
            if _names(self._path, self._descriptor):
                os.remove(self._path)
        os.close(self._descriptor)


def check_not_held(path: str, advice: str) -> None:
    """Raises FileExistsError if another process holds a lock.

    A process that takes the lock at this very moment may be refused, so that this is for folders
    that nobody may take.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(path, descriptor, advice) from None
    except OSError:
        return  # a file system without locks
    finally:
        os.close(descriptor)


def _acquire(path: str, advice: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            error = _in_use(path, descriptor, advice)
            os.close(descriptor)
            raise error from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            warnings.warn(
                f"{_folder(path)} cannot be locked here: let no second process write into it",
                stacklevel=2,
            )
        # The holder before may have removed the file between the two calls; then it locks nobody.
        if _names(path, descriptor):
            return descriptor
        os.close(descriptor)


def _in_use(path: str, descriptor: int, advice: str) -> FileExistsError:
    os.lseek(descriptor, 0, os.SEEK_SET)
    holder = os.read(descriptor, 32).decode(errors="replace").strip()
    return FileExistsError(
        f"{_folder(path)} is in use by {f'process {holder}' if holder else 'another process'}. "
        f"Nothing was changed: {advice}"
    )


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."


def _names(path: str, descriptor: int) -> bool:
    """Returns whether a path leads to an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
