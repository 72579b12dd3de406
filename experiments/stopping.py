"""SIGINT and SIGTERM end the program with one line and an exit status, at once.

Nothing has to be finished first: every line of a run is on disk when it was written, and the system
releases locks. An exception would not do, because Python drops those that a signal raises within
callbacks of the garbage collector, and a run would go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def install(what_remains: str) -> None:
    """Handles the signals from now on, unless whoever started this program lets it ignore them.

    Args:
      what_remains: the rest of the line, such as "nothing was written".
    """

    def stop(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(Exception):  # such as a pipe that nobody reads any more
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, f"\nstopped by {signal.Signals(number).name}; {what_remains}\n".encode())
        os._exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)
