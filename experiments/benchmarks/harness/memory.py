"""Measures the memory that a call takes, using only Linux's accounting of the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

MIB = 2**20


def added_by(call: Callable[[], Any]) -> int:
    """Measures by how many bytes the peak resident set of a call exceeds the one before it."""
    # ru_maxrss would not work: a child process inherits its parent's peak on Linux, and memory that
    # was used only briefly while inputs were made would count, too.
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # resets VmHWM, the peak
    call()
    return max(0, _status("VmHWM") - before)


def of_fresh_process(module: str, arguments: Sequence[str]) -> int:
    """Runs a benchmark with ``--memory_of`` in a fresh process, and returns the bytes it prints.

    Args:
      module: the dotted name of the benchmark.
      arguments: its flags, including ``--memory_of``.

    Raises:
      RuntimeError: if the process fails; the message ends with its standard error.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    raise RuntimeError(f"no {field} in /proc/self/status")
