"""What the benchmarks share: interleaved timing, peak memory, machine facts and tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax

from experiments import records
from experiments.benchmarks import resident


def interleave(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round; a round calls every contestant once.

    Interleaving spreads a machine's slow spells over all contestants, and each round begins with
    another one, so that none always follows the same neighbor. Warm up before.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        first = i % max(1, len(names))
        for name in names[first:] + names[:first]:
            seconds[name].append(timed(contestants[name])[0])
    return seconds


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds until the result of a call is ready, and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def machine_facts() -> dict[str, Any]:
    """What a timing depends on besides the code, with the load average of this moment."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": os.getloadavg(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "revision": records.git_revision(),
    }


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Prints rows under their columns; a value that is missing or ``None`` is a dash."""
    cells = [list(columns)] + [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def write_json(path: str, rows: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> None:
    """Writes a result: the machine's facts and the rows of the table."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "rows": rows}, file, indent=1)
        file.write("\n")


def peak_memory_of(command: Sequence[str]) -> int:
    """Bytes that a command, in a fresh process, reports by ``print_peak_memory``.

    Raises:
      RuntimeError: the command fails; the message ends with what it wrote.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def print_peak_memory(call: Callable[[], Any]) -> None:
    """Prints by how many bytes a call raises the resident set at its peak, over that before it."""
    print(resident.added_by(lambda: timed(call)))


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
