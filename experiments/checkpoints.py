"""Checkpoints of a run, written by Orbax: the weights and the pool after each cycle.

Nothing else has to be saved. The keys follow from the seed and the number of the cycle, and each
training makes an optimizer of its own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from ntk_al import Network, Pool
from ntk_al.types import PyTree

FOLDER = "run.checkpoints"
"""In the work directory; only what has a name of Orbax or ours is ever removed from it."""

_OWN = re.compile(r"\d+(\.json|\.part|\.orbax-checkpoint-tmp.*)?")

_KEPT = 2  # the newest and, should that be damaged, the one before it


class Checkpoints:
    """The checkpoints in a work directory; a number says how many cycles were completed.

    A checkpoint is a folder that Orbax writes and, once that is whole, a list of its files with
    their digests. Without the list it does not count, and one that does not agree with its list was
    damaged later and is not read.
    """

    def __init__(self, workdir: str) -> None:
        self._folder = pathlib.Path(workdir, FOLDER).absolute()

    def save(self, completed: int, network: Network, pool: Pool) -> None:
        """Saves the state after a number of cycles, and removes all but the last two.

        Raises:
          OSError: if it cannot be written; the checkpoints before are still there.
        """
        path = self._path(completed)
        self._remove(completed)
        try:
            self._folder.mkdir(exist_ok=True)
            with _quiet(), _checkpointer() as checkpointer:
                checkpointer.save(path, _tree(network, pool.labeled))
            part = self._list(completed).with_suffix(".part")
            part.write_text(json.dumps(_digests(path)))
            part.replace(self._list(completed))
        except Exception as error:  # Orbax passes on the errors of several libraries
            raise OSError(f"the checkpoint {path} cannot be written: {_reason(error)}") from error
        finally:
            self._remove_parts()
        for number in self._numbers()[:-_KEPT]:
            self._remove(number)

    def newest(
        self, like: Network, pools: Sequence[Pool], first: int
    ) -> tuple[Network | None, int]:
        """Restores the newest sound checkpoint that agrees with the records.

        Args:
          like: a network of the same shapes.
          pools: the pools after 0, 1, ... cycles of the strategy.
          first: how many cycles had been completed when the strategy began.

        Returns:
          The network and the number of cycles of this strategy after which it was saved; ``None``
          and 0 if there is no such checkpoint.

        Warns:
          UserWarning: for each checkpoint that is damaged or does not agree; it is removed.
        """
        for number in reversed(self._numbers()):
            cycles = number - first
            if not 0 < cycles < len(pools):
                continue
            try:
                return self._restore(number, like, pools[cycles]), cycles
            except ValueError as error:
                self._remove(number)
                warnings.warn(
                    f"the checkpoint {self._path(number)} is damaged and was removed, because "
                    f"{error}; the run goes on from an earlier one, or from its records",
                    stacklevel=2,
                )
        return None, 0

    def remove(self) -> None:
        """Removes all checkpoints: a finished run needs none, and a new one must see none."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if _OWN.fullmatch(path.name):
                    _remove(path)
            self._folder.rmdir()

    def _restore(self, number: int, like: Network, pool: Pool) -> Network:
        """Restores a network, or raises ValueError."""
        path = self._path(number)
        try:
            expected = json.loads(self._list(number).read_bytes())
            found = _digests(path)
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"it cannot be read ({error})") from error
        if found != expected:
            raise ValueError("its files are not those that were written")
        tree = _tree(like, pool.labeled)
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
        try:
            with _quiet(), _checkpointer() as checkpointer:
                restored = checkpointer.restore(path, shapes)
        except Exception as error:  # such as another version of Orbax
            raise ValueError(f"Orbax cannot read it ({_first_line(error)})") from error
        if not np.array_equal(restored["labeled"], pool.labeled):
            raise ValueError("its labels are not those of the records")
        return like.with_params(restored["params"]).with_state(restored["state"])

    def _numbers(self) -> list[int]:
        lists = self._folder.glob("*.json")
        return sorted(int(path.stem) for path in lists if path.stem.isdecimal())

    def _path(self, number: int) -> pathlib.Path:
        return self._folder / str(number)

    def _list(self, number: int) -> pathlib.Path:
        return self._folder / f"{number}.json"

    def _remove(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._list(number).unlink()
        shutil.rmtree(self._path(number), ignore_errors=True)

    def _remove_parts(self) -> None:
        """Removes what a process has left that was killed while writing."""
        numbers = map(str, self._numbers())
        whole = {name for number in numbers for name in (number, f"{number}.json")}
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if _OWN.fullmatch(path.name) and path.name not in whole:
                    _remove(path)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _tree(network: Network, labeled: np.ndarray) -> dict[str, PyTree]:
    labeled = labeled.astype(np.int32)  # what JAX makes of larger integers
    return {"params": network.params, "state": network.state, "labeled": labeled}


def _digests(folder: pathlib.Path) -> dict[str, str]:
    """Hashes every file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def _reason(error: Exception) -> str:
    """Says why something cannot be written, in the words of the system if they are there."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    known = (os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    return next((text for text in known if text in str(error)), _first_line(error))


def _first_line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) < 200 else text[:200] + "..."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax from logging errors that are raised, too."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _checkpointer() -> Any:
    import orbax.checkpoint  # half a second that --help need not wait for

    return orbax.checkpoint.StandardCheckpointer()
