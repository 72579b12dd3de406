"""The figures by name."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from ..sweep import directory
from . import collected, comparison, cost, fidelity, summary, tables, theory
from .drawn import Drawn


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a figure is drawn from.

    Attributes:
      folders: directories of sweeps or runs.
      results: the contents of result files of benchmarks and studies, by the name of the file, or
        by its path below a directory.
      against: the method that tables compare with the others.
      unit: what tables pair, a key of ``statistics.UNITS``.
    """

    folders: Sequence[str]
    results: dict[str, Any]
    against: str = "mlmoc"
    unit: str = "area"

    def runs(self) -> list[collected.Finished]:
        """Reads the runs; raises ValueError if no folder was given."""
        if not self.folders:
            raise ValueError("this figure is drawn from a sweep: --workdir=DIRECTORY")
        return collected.read(self.folders)

    def result(self, name: str, command: str) -> Any:
        """Returns the content of a result file.

        Raises:
          ValueError: if it was not given; the message says what makes it.
        """
        if name not in self.results:
            raise ValueError(f"this figure needs {name}, which `{command}` makes: --workdir=PATH")
        return self.results[name]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure: what it shows, the flagfile of its sweep if there is one, and how it is drawn."""

    about: str
    sweep: str | None
    draw: Callable[[Sources, str], Drawn]


def _compared(sources: Sources, title: str) -> Drawn:
    return comparison.draw(sources.runs(), title)


def _differences(sources: Sources, title: str) -> Drawn:
    return comparison.draw(sources.runs(), title, differences_only=True)


def _cost(sources: Sources, title: str) -> Drawn:
    benchmark = sources.result("look_ahead.json", "make bench-look-ahead")
    return cost.draw(sources.runs(), benchmark, title)


def _summary(sources: Sources, title: str) -> Drawn:
    return summary.draw(sources.runs(), title)


def _table(sources: Sources, title: str) -> Drawn:
    return tables.draw(sources.runs(), title, against=sources.against, unit=sources.unit)


def _fidelity(sources: Sources, title: str) -> Drawn:
    return fidelity.draw(sources.result("approximations.json", "make bench-approximations"), title)


def _theory(sources: Sources, title: str) -> Drawn:
    command = "python -m experiments.studies"
    sequential = sources.result("sequential_training.json", f"{command}.sequential_training")
    first = sources.result("linearization.json", f"{command}.linearization")
    others = [
        result for name, result in sources.results.items() if name.endswith("/linearization.json")
    ]
    return theory.draw(sequential, [first, *others], title)


FIGURES = {
    "curves": Figure("Accuracy of every method of a sweep", None, _compared),
    "1a": Figure("Look-ahead beside retraining: time and accuracy", "fig1a", _cost),
    "1b": Figure("Four ways to look ahead", "fig1b", _compared),
    "2a": Figure("Strategies against random, SVHN", "fig2a", _differences),
    "2b": Figure("Strategies against random, CIFAR10", "fig2b", _differences),
    "2c": Figure("Strategies against random, CIFAR100", "fig2c", _differences),
    "2-mnist": Figure("Strategies against random, MNIST", "fig2_mnist", _differences),
    "2-digits": Figure("Strategies against random, digits", "fig2_digits", _differences),
    "2-letter": Figure("Strategies against random, letters", "fig2_letter", _differences),
    "2-satellite": Figure("Strategies against random, Satellite", "fig2_satellite", _differences),
    "3a": Figure("One label at a time, or in batches", "fig3a", _compared),
    "3b": Figure("Widths", "fig3b", _compared),
    "3c": Figure("Criteria", "fig3c", _compared),
    "summary": Figure("Areas and labels saved", None, _summary),
    "table1": Figure("Is it better? Friedman and post-hoc tests", None, _table),
    "theory": Figure("Theorem 3.1 and Eq. 9, by width", None, _theory),
    "fidelity": Figure("Predicted and real changes", None, _fidelity),
}
"""All figures. The numbers are those of the paper."""


def sources(paths: Sequence[str], against: str, unit: str) -> Sources:
    """Sorts paths into directories of runs and result files.

    Args:
      paths: directories and JSON files. Result files in directories are found, too.
      against: see ``Sources``.
      unit: see ``Sources``.

    Raises:
      FileNotFoundError: if a path does not exist.
      ValueError: if a file is not JSON.
    """
    folders, results = [], {}
    for path in paths:
        if not os.path.isdir(path):
            results[os.path.basename(path)] = _read(path)
            continue
        folders.append(path)
        for place in (path, os.path.join(path, "*")):
            for found in sorted(glob.glob(os.path.join(place, "*.json"))):
                if os.path.basename(found) != directory.DEFINITION:
                    results[os.path.relpath(found, path)] = _read(found)
    return Sources(folders, results, against, unit)


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--workdir={path}: there is no such directory") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
