"""Memory that a call takes, from Linux's account of the process; needs no other package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

MIB = 2**20


def added_by(call: Callable[[], Any]) -> int:
    """Bytes by which a call raises the resident set at its peak, over that before the call."""
    # Not ru_maxrss: Linux hands the parent's peak down to a child process, and what was resident
    # for a moment while inputs were made would count too.
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # resets VmHWM, the peak
    call()
    return max(0, _status("VmHWM") - before)


def of_fresh_process(module: str, arguments: Sequence[str]) -> int:
    """Bytes that a benchmark prints when a fresh process runs it with its flag ``--memory_of``.

    Args:
      module: dotted name of the benchmark.
      arguments: its flags, ``--memory_of`` among them.

    Raises:
      RuntimeError: the process fails; the message ends with what it wrote.
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
