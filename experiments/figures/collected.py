"""Reads the runs of sweeps, finished or not, and arranges them for statistics and figures."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ntk_al.acquisition.oracle import NUM_BATCHES

from .. import definition, records
from ..config import moves_network
from ..statistics import Curves
from ..sweep import directory, gathered

QUERY_SETTINGS = (
    "strategy", "scheme", "batch_mode", "criterion", "readout", "reference", "ridge", "predictive",
    "move_network", "eval_size", "retraining_epochs", "retraining_rate", "precision",
    "memory_budget", "devices", "approximation", "rank", "tolerance", "solver", "solver_tolerance",
)  # fmt: skip
"""Settings of a method; all others define the problem on which methods are compared."""

_FLAGS_AS_WORDS = {
    ("scheme", "sequential"): "sequential",
    ("scheme", "oracle"): f"best of {NUM_BATCHES}",
    ("batch_mode", "greedy"): "greedy batch",
    ("move_network", True): "moving",
    ("move_network", False): "fixed network",
    ("approximation", "landmarks"): "landmarks",
    ("solver", "cg"): "conjugate gradients",
    ("ridge", "leave_one_out"): "fitted ridge",
    ("predictive", "softmax"): "softmax",
}
"""What the values of settings are called beside a strategy's name."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """What is on disk of one run.

    Attributes:
      name: the name of the run in its sweep.
      settings: its settings, without places; empty if it failed before its first record.
      records: its records so far, one for each cycle.
      failure: why the run failed, if it did.
    """

    name: str
    settings: dict[str, Any]
    records: list[dict[str, Any]]
    failure: str | None = None

    @property
    def strategy(self) -> str:
        """The name of the strategy."""
        return self.settings["strategy"][0]

    @property
    def is_complete(self) -> bool:
        """Whether all cycles are there."""
        return len(self.records) >= self.settings["cycles"]


@dataclasses.dataclass(frozen=True)
class Method:
    """A strategy with its settings, apart from the seed.

    Attributes:
      label: how figures and tables call it, unique among the methods of a sweep.
      strategy: the name of the strategy.
      problem: the label of the problem it was tried on.
      runs: its runs by seed.
    """

    label: str
    strategy: str
    problem: str
    runs: dict[int, Finished]


def read(folders: Sequence[str]) -> list[Finished]:
    """Reads all runs of one or more sweeps, or of single runs.

    Args:
      folders: directories of sweeps, of runs, or of published results.

    Raises:
      FileNotFoundError: if a folder has no records.
      ValueError: if a file is damaged, two folders hold the same run, or runs on one dataset were
        done on other examples.
    """
    found: list[Finished] = []
    for folder in folders:
        runs = list(_runs(folder))
        if not runs:
            raise FileNotFoundError(
                f"{folder} has no {records.METRICS}, and no directory in it has one: is it the "
                "directory of a sweep or of a run?"
            )
        found += runs
    seen: set[str] = set()
    digests: dict[str, str | None] = {}
    for run in found:
        if not run.records:
            continue
        text = json.dumps(run.settings, sort_keys=True)
        if text in seen:
            raise ValueError(f"the run {run.name} is there twice")
        seen.add(text)
        digest = run.records[0].get("data_digest")
        before = digests.setdefault(run.settings["dataset"], digest)
        if digest != before:
            raise ValueError(
                f"the run {run.name} was done on other examples than the runs before it, although "
                f"their dataset has the same name, {run.settings['dataset']}"
            )
    return found


def methods(runs: Sequence[Finished]) -> list[Method]:
    """Groups runs that differ only in their seeds, in the order in which they appear."""
    runs = [run for run in runs if run.records]
    varying = _varying(runs)
    datasets = _short({run.settings["dataset"] for run in runs})
    groups: dict[str, list[Finished]] = {}
    for run in runs:
        rest = {name: value for name, value in run.settings.items() if name != "seed"}
        groups.setdefault(json.dumps(rest, sort_keys=True), []).append(run)
    return [
        Method(
            label=_method_label(group[0], varying),
            strategy=group[0].strategy,
            problem=_problem_label(group[0], varying, datasets),
            runs={run.settings["seed"]: run for run in group},
        )
        for group in groups.values()
    ]


def curves(found: Sequence[Method]) -> dict[str, Curves]:
    """Arranges accuracies by problem, for the seeds and numbers of labels that all methods have.

    Args:
      found: methods. Those without a complete run are left out.

    Returns:
      For each problem, the accuracies of its methods by label. A problem without a seed that all
      of its methods have completed is left out.
    """
    problems: dict[str, list[Method]] = {}
    for method in found:
        if any(run.is_complete for run in method.runs.values()):
            problems.setdefault(method.problem, []).append(method)
    arranged: dict[str, Curves] = {}
    for problem, own in problems.items():
        seeds = sorted(
            set.intersection(
                *({seed for seed, run in m.runs.items() if run.is_complete} for m in own)
            )
        )
        if seeds:
            first = own[0].runs[seeds[0]]
            arranged[problem] = Curves(
                np.array([record["num_labeled"] for record in first.records]),
                np.array(seeds),
                {m.label: np.array([_accuracies(m.runs[seed]) for seed in seeds]) for m in own},
            )
    return arranged


def failures(runs: Sequence[Finished]) -> list[str]:
    """Lists the runs that failed, with the reason."""
    return [f"{run.name}: {run.failure}" for run in runs if run.failure is not None]


def _accuracies(run: Finished) -> list[float]:
    return [record["test_accuracy"] for record in run.records]


def _runs(folder: str) -> Iterator[Finished]:
    if records.has_lines(folder):
        yield from _split(os.path.basename(os.path.normpath(folder)), records.read(folder))
        return
    if not os.path.isdir(folder):
        return
    for name in _in_order(folder):
        own = os.path.join(folder, name)
        failure = None
        if os.path.exists(path := os.path.join(own, directory.FAILED)):
            with open(path, encoding="utf-8") as file:
                failure = file.read().strip()
        if records.has_lines(own):
            for run in _split(name, records.read(own)):
                yield dataclasses.replace(run, failure=None if run.is_complete else failure)
        elif failure is not None:
            yield Finished(name, {}, [], failure)


def _in_order(folder: str) -> list[str]:
    """Lists directories, those of the definition of a sweep first and in its order."""
    names = sorted(os.listdir(folder))
    order = [name for name in directory.recorded(folder) if name in set(names)]
    return list(dict.fromkeys([*order, *names]))


def _split(name: str, lines: Sequence[dict[str, Any]]) -> Iterator[Finished]:
    """Splits records into runs of one strategy each; the first line of a run has its config."""
    config: dict[str, Any] = {}
    runs: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {}
    for line in gathered.restored(lines):
        name = line.get("run", name)  # in the first line of each run that was gathered
        if "failed" in line:
            yield Finished(name, {}, [], line["failed"])
            continue
        config = line.get("config", config)
        if not config:
            raise ValueError(f"the records of {name} have no configuration")
        settings = {**definition.completed(config), "strategy": [line["strategy"]]}
        key = json.dumps(settings, sort_keys=True)
        runs.setdefault(key, (name, settings, []))[2].append(line)
    for run_name, settings, own in runs.values():
        yield Finished(run_name, settings, own)


def _varying(runs: Sequence[Finished]) -> list[str]:
    """Lists the settings, other than strategy and seed, in which runs differ."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [
        name
        for name in names
        if name not in ("strategy", "seed")
        and len({json.dumps(run.settings.get(name)) for run in runs}) > 1
    ]


def _short(datasets: set[str]) -> dict[str, str]:
    """Names datasets by their files alone, unless two would have the same name."""
    names = {path: os.path.splitext(os.path.basename(path))[0] for path in datasets}
    return names if len(set(names.values())) == len(names) else {path: path for path in datasets}


def _method_label(run: Finished, varying: Sequence[str]) -> str:
    defaults = definition.completed({})
    defaults["move_network"] = moves_network(run.settings["scheme"])
    parts = [run.strategy]
    for name in varying:
        value = run.settings.get(name)
        if name in QUERY_SETTINGS and value != defaults.get(name):
            parts.append(_FLAGS_AS_WORDS.get((name, value), f"{name} {value}"))
    return ", ".join(parts)


def _problem_label(run: Finished, varying: Sequence[str], datasets: dict[str, str]) -> str:
    parts = [datasets[run.settings["dataset"]]]
    for name in varying:
        if name not in QUERY_SETTINGS and name not in ("dataset", "seed", "strategy"):
            parts.append(f"{name} {run.settings.get(name)}")
    return ", ".join(parts)
