"""Keeps compiled programs on disk, so that a second run does not compile them again."""

from __future__ import annotations

import os

import jax
from absl import flags


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag that switches this off. It is no part of the definition of a run."""
    flags.DEFINE_bool(
        "keep_compiled",
        True,
        "Keep compiled programs on disk for later runs, in ~/.cache/ntk_al/compiled, or where "
        "JAX_COMPILATION_CACHE_DIR says.",
        flag_values=values,
    )


def keep(cache_dir: str) -> None:
    """Switches JAX's persistent compilation cache on, unless the user has done so already.

    Args:
      cache_dir: the folder for what can be computed again.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    jax.config.update("jax_compilation_cache_dir", os.path.join(cache_dir, "compiled"))
    # Programs here are many and small, so that together even the fastest to compile count.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
