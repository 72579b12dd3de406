"""Interleaved timing: contestants take turns, and times are medians over rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


def interleave(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Times every contestant once in each round.

    This spreads a machine's slow phases over all contestants. Each round begins with a different
    contestant. The caller must warm up the contestants beforehand.

    Args:
      contestants: the calls by name.
      rounds: the number of rounds.

    Returns:
      The seconds of every round, by name.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        first = i % max(1, len(names))
        for name in names[first:] + names[:first]:
            seconds[name].append(timed(contestants[name])[0])
    return seconds


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Times one call.

    Returns:
      The seconds until the result is ready, and the result.
    """
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Computes the median over rounds for each name."""
    return {name: statistics.median(values) for name, values in seconds.items()}
