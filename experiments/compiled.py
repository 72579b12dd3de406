"""Keeps compiled programs on disk, so that a second run does not compile them again."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import stat
import warnings
from typing import Any

import jax
from absl import flags

_FAILED = re.compile(
    r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)"
)
"""What JAX warns of before it compiles a program as if nothing were kept."""


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag that switches this off. It is no part of the definition of a run."""
    flags.DEFINE_bool(
        "keep_compiled",
        True,
        "Keep compiled programs on disk for later runs, in ~/.cache/ntk_al/compiled, or where "
        "JAX_COMPILATION_CACHE_DIR says.",
        flag_values=values,
    )


def cache_dir() -> str:
    """Returns the folder for data and programs that can be made again (XDG convention)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "ntk_al")


def keep(cache_dir: str) -> None:
    """Switches JAX's persistent compilation cache on, unless the user has done so already.

    A program that cannot be read, because a process was killed while writing it, the disk was full
    or another process is just writing it, is compiled again and replaced, with a warning.

    Args:
      cache_dir: the folder for what can be computed again.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = os.path.join(cache_dir, "compiled")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _check_own(folder)
    except OSError as error:
        warnings.warn(f"compiled programs are not kept: {folder}: {error.strerror}", stacklevel=2)
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    # Programs here are many and small, so that together even the fastest to compile count.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _replace_damaged(folder)


def _check_own(folder: str) -> None:
    """Raises PermissionError if others may write into a folder whose programs are run unchecked."""
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH:
        raise PermissionError(
            errno.EPERM, "other users may write there, and programs would be run as they are read"
        )


def _replace_damaged(folder: str) -> None:
    """Removes what cannot be read, because JAX would warn of it forever and never replace it."""
    show, cannot_write = warnings.showwarning, False

    def show_one(message: Warning | str, *where: Any, **options: Any) -> None:
        nonlocal cannot_write
        failed = _FAILED.match(str(message))
        if failed is None:
            return show(message, *where, **options)
        doing, program, why = (" ".join(part.split()) for part in failed.groups())
        for path in glob.glob(os.path.join(glob.escape(folder), f"{glob.escape(program)}-*")):
            with contextlib.suppress(OSError):
                os.remove(path)
        if doing == "reading":
            text = f"a compiled program in {folder} is damaged and is made again: {program}: {why}"
        elif not cannot_write:
            text, cannot_write = f"compiled programs cannot be kept in {folder}: {why}", True
        else:
            return None
        return show(UserWarning(text), *where, **options)

    warnings.showwarning = show_one
    # Every time, because two damaged programs may give one text.
    warnings.filterwarnings("always", message="Error .* persistent compilation cache entry")
