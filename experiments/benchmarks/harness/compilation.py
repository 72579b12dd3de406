"""Measures how long JAX compiles, so that compilation can be subtracted from other times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from . import timing

_COMPILATION = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def compile_times() -> Iterator[list[float]]:
    """Yields a list that receives the seconds of each compilation within the block."""
    durations: list[float] = []
    listening = True

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if listening and event == _COMPILATION:
            durations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield durations
    finally:
        listening = False  # JAX 0.7 cannot remove a listener, so it stays and is silent


def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Returns the seconds of a call without compilation, those of compilation, and its result."""
    with compile_times() as durations:
        seconds, result = timing.timed(call)
    return seconds - sum(durations), sum(durations), result
