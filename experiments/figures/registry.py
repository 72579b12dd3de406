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
      results: the contents of result files of benchmarks and studies, by path.
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

    def all_results(self, name: str, command: str) -> list[Any]:
        """Returns the contents of all result files of a name, at least one.

        Raises:
          ValueError: if none was given; the message says what makes it.
        """
        found = [one for path, one in self.results.items() if os.path.basename(path) == name]
        if not found:
            raise ValueError(f"this figure needs {name}, which `{command}` makes: --workdir=PATH")
        return found

    def result(self, name: str, command: str) -> Any:
        """Returns the content of the one result file of a name.

        Raises:
          ValueError: if none or several were given.
        """
        found = self.all_results(name, command)
        if len(found) > 1:
            raise ValueError(f"this figure takes one {name}, and {len(found)} were given")
        return found[0]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
      about: what it shows, for its title.
      draw: draws it.
      dataset: the dataset that its title names, if any.
    """

    about: str
    draw: Callable[[Sources, str], Drawn]
    dataset: str | None = None

    def check(self, sources: Sources) -> None:
        """Raises ValueError if the runs are on another dataset than the title says."""
        if self.dataset is None:
            return
        for run in sources.runs():
            found = run.settings.get("dataset", self.dataset)
            if os.path.splitext(os.path.basename(found))[0] != self.dataset:
                raise ValueError(
                    f"it shows {self.dataset}, but {run.name} is on {found}: draw `curves` instead"
                )


def _compared(sources: Sources, title: str) -> Drawn:
    return comparison.draw(sources.runs(), title)


def _differences(sources: Sources, title: str) -> Drawn:
    return comparison.draw(sources.runs(), title, differences_only=True)


def _schemes(sources: Sources, title: str) -> Drawn:
    """Draws the strategies that were run one label at a time, and random.

    Raises:
      ValueError: if there is none.
    """
    runs = sources.runs()
    sequential = {
        run.strategy for run in runs if run.records and run.settings["scheme"] == "sequential"
    }
    if not sequential:
        raise ValueError(
            "it compares schemes, but no run has --scheme=sequential: draw `curves` instead"
        )
    drawn = {comparison.BASELINE, *sequential}
    return comparison.draw([r for r in runs if not r.records or r.strategy in drawn], title)


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
    return theory.draw(
        sources.result("sequential_training.json", f"{command}.sequential_training"),
        sources.all_results("linearization.json", f"{command}.linearization"),
        title,
    )


FIGURES = {
    "curves": Figure("Accuracy over the number of labels", _compared),
    "1a": Figure("Look-ahead beside retraining: time and accuracy", _cost),
    "1b": Figure("Four ways to look ahead", _compared),
    "2a": Figure("Strategies against random, SVHN", _differences, "svhn"),
    "2b": Figure("Strategies against random, CIFAR10", _differences, "cifar10"),
    "2c": Figure("Strategies against random, CIFAR100", _differences, "cifar100"),
    "2-mnist": Figure("Strategies against random, MNIST", _differences, "mnist"),
    "2-digits": Figure("Strategies against random, digits", _differences, "digits"),
    "2-letter": Figure("Strategies against random, letters", _differences, "letter"),
    "2-satellite": Figure("Strategies against random, Satellite", _differences, "satellite"),
    "3a": Figure("One label at a time, or in batches", _schemes),
    "3b": Figure("Widths", _compared),
    "3c": Figure("Criteria", _compared),
    "summary": Figure("Areas and labels saved", _summary),
    "table1": Figure("Is it better? Friedman and post-hoc tests", _table),
    "theory": Figure("Theorem 3.1 and Eq. 9, by width", _theory),
    "fidelity": Figure("Predicted and real changes", _fidelity),
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
            results[path] = _read(path)
            continue
        folders.append(path)
        for place in (path, os.path.join(path, "*")):
            for found in sorted(glob.glob(os.path.join(place, "*.json"))):
                if os.path.basename(found) != directory.DEFINITION:
                    results[found] = _read(found)
    return Sources(folders, results, against, unit)


def _read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"--workdir={path}: there is no such directory") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
