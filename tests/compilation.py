"""Compilation in little time, which is most of the time of most tests."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

SIMPLE_EMITTERS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def hurry():
    """Lets programs be compiled in a quarter of the time, before JAX is imported.

    Without LLVM's optimizations and with XLA's simple emitters of loops, programs are the same but
    for the last digits. The environment is changed, so that processes that tests start do alike.
    ``JAX_DISABLE_MOST_OPTIMIZATIONS=0`` leaves compilation as users have it.
    """
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # and has what the first process decided
    if is_worker or os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "0":
        return
    flags = f"{os.environ.get('XLA_FLAGS', '')} {SIMPLE_EMITTERS}".strip()
    if _xla_starts_with(flags):
        os.environ["XLA_FLAGS"] = flags


def share_context():
    """Lets all programs share one MLIR context: to make one for each took a fifth of the time.

    The function is private to JAX; where it is gone, tests only take longer.
    """
    from jax._src.interpreters import mlir

    make = getattr(mlir, "make_ir_context", None)
    if make is not None:
        mlir.make_ir_context = functools.cache(make)


def _xla_starts_with(flags):
    """Whether this version of XLA knows the flags: it ends the process at one that it does not."""
    started = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
    )
    return started.returncode == 0
