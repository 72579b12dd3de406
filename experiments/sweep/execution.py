"""Does the runs of a sweep, each in a worker process, some of them at a time."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import directory
from .grid import Run

OnRecord = Callable[[Run, dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs are done, which changes nothing about their results.

    Attributes:
      jobs: how many are done at a time.
      cache_dir: where decoded data and compiled programs are kept.
      keep_compiled: whether compiled programs are kept on disk.
      loggers: what is written beside ``metrics.jsonl``.
    """

    jobs: int = 1
    cache_dir: str | None = None
    keep_compiled: bool = True
    loggers: Sequence[str] = ()


def execute(
    runs: Sequence[Run],
    options: Options,
    on_record: OnRecord,
    on_end: Callable[[Run, str | None], None],
) -> None:
    """Does runs in order. A run that fails is noted in its directory, and the others go on.

    Args:
      runs: the runs, of which none is finished.
      options: how they are done.
      on_record: called after each cycle with the run and its record.
      on_end: called after each run with the reason why it failed, or ``None``.
    """
    idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
    for _ in range(options.jobs):
        idle.put(None)

    def do(run: Run) -> None:
        worker = idle.get() or _Worker()
        reason = worker.do(run, options, on_record)
        idle.put(worker if worker.is_alive() else None)
        directory.note_failure(run, reason)
        on_end(run, reason)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as threads:
        try:
            for done in [threads.submit(do, run) for run in runs]:
                done.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    for _ in range(options.jobs):
        if (worker := idle.get()) is not None:
            worker.close()


class _Worker:
    """A process of ``worker``. It ends when this process does, because then its input ends."""

    def __init__(self) -> None:
        module = f"{__package__}.worker"
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def do(self, run: Run, options: Options, on_record: OnRecord) -> str | None:
        """Does a run, and returns why it failed, or ``None``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "config": dataclasses.asdict(run.config),
            "cache_dir": options.cache_dir,
            "keep_compiled": options.keep_compiled,
            "loggers": list(options.loggers),
        }
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                answer = json.loads(line)
                if "record" in answer:
                    on_record(run, answer["record"])
                else:
                    return answer.get("failed")
        except BrokenPipeError:
            pass
        return _how_it_ended(self._process.wait())

    def is_alive(self) -> bool:
        """Returns whether the process can do another run."""
        return self._process.poll() is None

    def close(self) -> None:
        """Lets the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    memory = ", which the system sends when memory is short" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
