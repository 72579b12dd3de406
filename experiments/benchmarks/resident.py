"""Memory that a call takes, from Linux's account of the process; needs no package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def added_by(call: Callable[[], Any]) -> int:
    """Bytes by which a call raises the resident set at its peak, over that before the call."""
    # Not ru_maxrss: Linux hands the parent's peak down to a child process, and what was resident
    # for a moment while inputs were made would count too.
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # resets VmHWM, the peak
    call()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    raise RuntimeError(f"no {field} in /proc/self/status")
