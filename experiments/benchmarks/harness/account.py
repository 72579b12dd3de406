"""Accounts for the memory of the kernel engine, from live arrays and XLA's analysis of programs.

The peak of a process also contains compilation, and freed pages that the allocator keeps. Here only
what the engine asks for is counted: while a program runs, the arrays that are alive, its results
and its temporaries.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Iterator
from typing import Any

import jax

from ntk_al.kernels.empirical import execute, programs
from ntk_al.kernels.empirical.plan import Plan

from . import interception


@dataclasses.dataclass
class Account:
    """What a computation of the engine planned and took.

    Attributes:
      plan: its plan.
      peak_bytes: the most bytes at any time, beyond those alive before.
      program: the name of the program that was running then.
    """

    plan: Plan | None = None
    peak_bytes: int = 0
    program: str = ""

    def note(self, num_bytes: int, program: str) -> None:
        """Raises the peak, if this exceeds it."""
        if num_bytes > self.peak_bytes:
            self.peak_bytes, self.program = num_bytes, program


@contextlib.contextmanager
def watched() -> Iterator[Account]:
    """Accounts for the one computation of the engine inside the block, on the first device."""
    account = Account()
    gc.collect()  # garbage that went during the computation would count as memory it gave back
    before = _live()
    make_plan = execute.make_plan

    def planned(*arguments: Any, **options: Any) -> Plan:
        account.plan = make_plan(*arguments, **options)
        return account.plan

    def noted(name: str, program: Any) -> Any:
        taken: dict[Any, int] = {}

        def call(*arguments: Any) -> Any:
            key = interception.signature(arguments)
            if key not in taken:
                taken[key] = _added(program.lower(*arguments).compile().memory_analysis())
            account.note(_live() - before + taken[key], name)
            return program(*arguments)

        return call

    try:
        execute.make_plan = planned
        with interception.around([programs], noted):
            yield account
    finally:
        execute.make_plan = make_plan
    account.note(_live() - before, "results")


def _added(analysis: Any) -> int:
    """Returns the bytes of results and temporaries, from XLA's analysis of a program."""
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return int(results + analysis.temp_size_in_bytes)


def _live() -> int:
    """Returns the bytes of all arrays on the first device; those that share a buffer count once."""
    first = jax.local_devices()[0]
    shards = [
        shard.data
        for array in jax.live_arrays()
        if not array.is_deleted()
        for shard in array.addressable_shards
        if shard.device == first
    ]
    return sum({data.unsafe_buffer_pointer(): data.nbytes for data in shards}.values())
