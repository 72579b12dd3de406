"""Finds out how much memory a computation may take."""

from __future__ import annotations

import math
import os

import jax


def in_words(num_bytes: float) -> str:
    """Returns a number of bytes for people, so that a small one is not called zero.

    Examples:
      >>> in_words(1000), in_words(3.5 * 2**20)
      ('1.0 KiB', '4 MiB')
    """
    if num_bytes >= 2**20:
        return f"{math.ceil(num_bytes / 2**20)} MiB"
    return f"{num_bytes / 2**10:.1f} KiB"


def free() -> int:
    """Returns most of the bytes that are now free on the default device."""
    try:
        statistics = jax.local_devices()[0].memory_stats()
    except jax.errors.JaxRuntimeError:
        statistics = None
    if statistics and "bytes_limit" in statistics:
        return int(0.9 * (statistics["bytes_limit"] - statistics["bytes_in_use"]))
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":") for line in file)
        return int(0.5 * 1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
