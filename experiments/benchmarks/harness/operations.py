"""Counts what one device computes and receives, from XLA's analysis of each program that runs.

Times on simulated devices say nothing, because they share the cores of one machine. Counts do: they
are those of as many real devices. A program with a loop counts its body once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ntk_al._utils import checks
from ntk_al.kernels.empirical import programs
from ntk_al.lookahead import factorization, landmarks, tiles

from . import interception

_COLLECTIVE = re.compile(
    r"= \(?(?P<shapes>[^=]*?)\)? "
    r"(?:all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)
_SHAPE = re.compile(r"(?P<dtype>[a-z]+\d*[a-z0-9]*)\[(?P<dims>[\d,]*)\]")
_BITS = re.compile(r"\d+")


@dataclasses.dataclass
class Operations:
    """What one device did.

    Attributes:
      flops: floating-point operations, by program.
      accessed: bytes of memory that were read and written, by program.
      received: bytes that came from all devices by collective operations, by program.
    """

    flops: Counter[str] = dataclasses.field(default_factory=Counter)
    accessed: Counter[str] = dataclasses.field(default_factory=Counter)
    received: Counter[str] = dataclasses.field(default_factory=Counter)


@contextlib.contextmanager
def counted() -> Iterator[Operations]:
    """Counts the programs of the kernel, of the posterior and of scores inside the block."""
    found = Operations()

    def noted(name: str, program: Any) -> Any:
        known: dict[Any, tuple[float, float, int]] = {}

        def call(*arguments: Any, **options: Any) -> Any:
            if checks.is_traced(arguments, options):  # a part of another program
                return program(*arguments, **options)
            key = interception.signature((arguments, options))
            if key not in known:
                compiled = program.lower(*arguments, **options).compile()
                costs = compiled.cost_analysis()
                known[key] = (
                    costs.get("flops", 0.0),
                    costs.get("bytes accessed", 0.0),
                    received(compiled.as_text()),
                )
            counters = (found.flops, found.accessed, found.received)
            for counter, amount in zip(counters, known[key], strict=True):
                counter[name] += amount  # type: ignore[assignment]
            return program(*arguments, **options)

        return call

    with interception.around([programs, factorization, tiles, landmarks, landmarks.build], noted):
        yield found


def received(text: str) -> int:
    """Returns the bytes of the results of all collective operations in a compiled program."""
    return sum(
        _bytes(shape["dtype"], shape["dims"])
        for operation in _COLLECTIVE.finditer(text)
        for shape in _SHAPE.finditer(operation["shapes"])
    )


def _bytes(dtype: str, dims: str) -> int:
    bits = _BITS.search(dtype)
    size = int(bits[0]) // 8 if bits else 1  # a truth value takes a byte
    return size * math.prod(int(dim) for dim in dims.split(",") if dim)
