"""Runs random cases and counts what became of them."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable

import numpy as np

_SHOWN = 10
"""How many failures are printed in full."""


@dataclasses.dataclass
class Report:
    """The cases of one test: how many, which failed and why, and the largest error of the rest."""

    name: str
    cases: int = 0
    failures: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    worst: float | None = None
    worst_seed: int | None = None

    def add(self, seed: int, error: float | None) -> None:
        """Keeps the largest error; NaN is larger than any number."""
        if error is None:
            return
        if self.worst is None or not (error <= self.worst or math.isnan(self.worst)):
            self.worst, self.worst_seed = float(error), seed

    def __str__(self) -> str:
        worst = "" if self.worst is None else f", worst error {self.worst:.3g}"
        where = "" if self.worst is None else f" (seed {self.worst_seed})"
        return f"{self.name}: {self.cases} cases, {len(self.failures)} failures{worst}{where}"

    def check(self) -> None:
        """Fails if a case did, and says which and how to run it again."""
        if not self.failures:
            return
        shown = "\n".join(f"seed {seed}: {what}" for seed, what in self.failures[:_SHOWN])
        again = f"FUZZ_SEED={self.failures[0][0]} FUZZ_CASES=1"
        raise AssertionError(f"{self}\n{shown}\nThe first one alone: {again}")


def seeds(short: int, full: int) -> range:
    """Returns the seeds that the environment asks for."""
    first = int(os.environ.get("FUZZ_SEED", "0"))
    asked = os.environ.get("FUZZ_CASES", "")
    number = {"": short, "full": full}.get(asked)
    return range(first, first + (int(asked) if number is None else number))


def run(
    name: str, case: Callable[[np.random.Generator], float | None], chosen: Iterable[int]
) -> Report:
    """Runs a case for each seed, and goes on after a failure."""
    report = Report(name)
    for seed in chosen:
        report.cases += 1
        try:
            report.add(seed, case(np.random.default_rng(seed)))
        except Exception as error:
            report.failures.append((seed, f"{type(error).__name__}: {error}"))
    return report
