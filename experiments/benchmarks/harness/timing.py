"""Interleaved timing: contestants take turns, and the median over rounds counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


def interleave(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Times each contestant in each round; a round calls every contestant once.

    Interleaving spreads a machine's slow spells over all contestants, and each round begins with
    another one, so that none always follows the same neighbor. Warm up before.

    Args:
      contestants: calls by name.
      rounds: how often each is called.

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
    """Calls once.

    Returns:
      Seconds until the result is ready, and the result.
    """
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median over rounds of each name."""
    return {name: statistics.median(values) for name, values in seconds.items()}
