"""What a sweep shows: runs done, the last accuracy, and an estimate of the time that is left."""

from __future__ import annotations

import statistics
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from ..continuation import num_records
from .grid import Run


class Display:
    """A bar over all cycles and a line for each run that ended; the lines only if nobody watches.

    Args:
      runs: all runs of the sweep.
      done: the records of each run that were there before, by the name of the run.
      jobs: how many runs are done at a time.
    """

    def __init__(
        self, runs: Sequence[Run], done: Mapping[str, Sequence[dict[str, Any]]], jobs: int
    ) -> None:
        self._runs, self._jobs = {run.name: run for run in runs}, jobs
        self._left = {run.name: num_records(run.config) - len(done[run.name]) for run in runs}
        self._seconds: dict[str, list[float]] = {}
        for run in runs:
            for record in done[run.name]:
                self._take_time(run, record)
        self._lock = threading.Lock()
        total = sum(num_records(run.config) for run in runs)
        self._bar = tqdm(
            total=total,
            initial=total - sum(self._left.values()),
            unit="cycle",
            miniters=0,
            dynamic_ncols=True,
            disable=None,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} cycles{postfix}",
        )
        self._show("")

    def record(self, run: Run, record: dict[str, Any]) -> None:
        """Shows that a cycle has ended."""
        with self._lock:
            self._take_time(run, record)
            self._left[run.name] = max(self._left[run.name] - 1, 0)
            self._bar.update()
            accuracy = f"{record['test_accuracy']:.1%} with {record['num_labeled']} labels"
            self._show(f"{run.name}: {accuracy}")

    def end(self, run: Run, reason: str | None, accuracy: float | None) -> None:
        """Writes a line for a run that has ended.

        Args:
          run: the run.
          reason: why it failed, or ``None``.
          accuracy: its last test accuracy, or ``None``.
        """
        with self._lock:
            if reason is not None:
                self._left[run.name] = 0
            ended = sum(not left for left in self._left.values())
            told = f"failed: {reason}" if reason is not None else f"accuracy {accuracy:.2%}"
            line = f"[{ended}/{len(self._runs)}] {run.name}  {told}"
            self._bar.write(f"{line}  ({self._time_left()} left)", file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()

    def _show(self, text: str) -> None:
        ended = sum(not left for left in self._left.values())
        self._bar.set_description_str(f"{ended}/{len(self._runs)} runs", refresh=False)
        self._bar.set_postfix_str(
            ", ".join(filter(None, [f"{self._time_left()} left", text])), refresh=True
        )

    def _take_time(self, run: Run, record: dict[str, Any]) -> None:
        seconds = record.get("train_seconds", 0.0) + record.get("query_seconds", 0.0)
        self._seconds.setdefault(_kind(run), []).append(seconds)

    def _time_left(self) -> str:
        """Estimates from the cycles of each kind of run, and of all kinds where there are none."""
        everything = [seconds for found in self._seconds.values() for seconds in found]
        if not everything:
            return "an unknown time"
        left = 0.0
        for name, cycles in self._left.items():
            found = self._seconds.get(_kind(self._runs[name]), everything)
            left += cycles * statistics.median(found)
        minutes = round(left / self._jobs / 60)
        return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _kind(run: Run) -> str:
    """Names what decides the time of a cycle: everything but the seed."""
    return run.name.rpartition("-seed=")[0]
