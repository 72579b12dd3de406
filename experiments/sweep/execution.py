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
import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import directory
from .grid import Run

MOST_RUNS = 12
"""Of one worker process, because what JAX keeps of each run adds up to gigabytes."""

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
    digests: dict[str, str],
) -> None:
    """Does runs in order. A run that fails is noted in its directory, and the others go on.

    Args:
      runs: the runs, of which none is finished.
      options: how they are done.
      on_record: called after each cycle with the run and its record.
      on_end: called after each run with the reason why it failed, or ``None``.
      digests: the digest of each dataset, as far as known; a run on other examples fails.

    Raises:
      Exception: what a callback raised, after all processes were ended.
    """
    waiting: queue.SimpleQueue[Run] = queue.SimpleQueue()
    for run in runs:
        waiting.put(run)
    workers: list[_Worker] = []
    failed = threading.Event()

    def work() -> None:
        worker: _Worker | None = None
        try:
            while not failed.is_set():
                run = waiting.get_nowait()
                if worker is not None and not worker.can_go_on():
                    worker.close()
                    worker = None
                if worker is None:
                    workers.append(worker := _Worker())
                reason = worker.do(run, options, on_record, digests)
                if not failed.is_set():
                    directory.note_failure(run, reason)
                    on_end(run, reason)
        except queue.Empty:
            return
        except BaseException:
            failed.set()
            for other in workers:
                other.close()
            raise

    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as threads:
            for done in [threads.submit(work) for _ in range(min(options.jobs, len(runs)))]:
                done.result()
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process of ``worker``. It ends when this process does, because then its input ends."""

    def __init__(self) -> None:
        self._num_runs = 0
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

    def do(
        self, run: Run, options: Options, on_record: OnRecord, digests: dict[str, str]
    ) -> str | None:
        """Does a run, and returns why it failed, or ``None``."""
        self._num_runs += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "config": dataclasses.asdict(run.config),
            "cache_dir": options.cache_dir,
            "keep_compiled": options.keep_compiled,
            "loggers": list(options.loggers),
            "data_digest": digests.get(run.config.dataset),
        }
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                answer = json.loads(line)
                if "data_digest" in answer:
                    digests.setdefault(run.config.dataset, answer["data_digest"])
                elif "record" in answer:
                    on_record(run, answer["record"])
                else:
                    return answer.get("failed")
        except (BrokenPipeError, json.JSONDecodeError):  # it ended, perhaps within a line
            pass
        return _how_it_ended(self._process.wait())

    def can_go_on(self) -> bool:
        """Returns whether the process can and should do another run."""
        return self._process.poll() is None and self._num_runs < MOST_RUNS

    def close(self) -> None:
        """Ends the process; what it has written is whole."""
        self._process.kill()
        self._process.wait()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    memory = ", which the system sends when memory is short" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
