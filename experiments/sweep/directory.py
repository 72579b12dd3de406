"""The directory of a sweep: its definition in ``sweep.json``, and one directory for each run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from .. import continuation, records
from ..definition import completed, settings
from .grid import Run

DEFINITION = "sweep.json"
FAILED = "failed.txt"
"""In the directory of a run: why it ended early."""


def read_definition(workdir: str) -> dict[str, dict[str, Any]]:
    """Reads the settings of each run of a sweep, by name.

    Raises:
      FileNotFoundError: if the directory has no ``sweep.json``.
      ValueError: if it is damaged.
    """
    path = os.path.join(workdir, DEFINITION)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        shared, runs = content["shared"], content["runs"]
        return {name: completed({**shared, **own}) for name, own in runs.items()}
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from error


def enter(workdir: str, runs: Sequence[Run], extend: bool) -> list[Run]:
    """Checks a sweep against what its directory holds, and writes its definition.

    Args:
      workdir: the directory, which is made if need be.
      runs: all runs of the sweep.
      extend: whether runs may join those that the directory has.

    Returns:
      The runs, with the names under which the directory has them.

    Raises:
      FileExistsError: if the directory holds another sweep, or one of its directories another run;
        the message lists what differs.
      OSError: if the definition cannot be written.
      ValueError: if a file there is damaged.
    """
    earlier: dict[str, dict[str, Any]] = {}
    if os.path.exists(os.path.join(workdir, DEFINITION)):
        earlier = read_definition(workdir)
        runs = _with_known_names(workdir, runs, earlier)
        _check_same(workdir, runs, earlier, extend)
    elif os.path.exists(os.path.join(workdir, records.METRICS)):
        raise FileExistsError(
            f"{workdir} holds a single run. Nothing was changed: choose another --workdir."
        )
    for run in runs:
        if records.has_lines(str(run.config.workdir)):
            continuation.check_same(records.read(str(run.config.workdir)), run.config)
    now = {run.name: settings(run.config) for run in runs}
    if {**earlier, **now} != earlier:
        _write(workdir, {**earlier, **now})
    return list(runs)


def num_done(run: Run) -> int:
    """Returns the number of cycles of a run that are on disk."""
    workdir = str(run.config.workdir)
    return len(records.read(workdir)) if records.has_lines(workdir) else 0


def is_finished(run: Run) -> bool:
    """Returns whether all cycles of a run are on disk."""
    return num_done(run) >= continuation.num_records(run.config)


def note_failure(run: Run, reason: str | None) -> None:
    """Writes why a run failed into its directory, or removes what is written there."""
    path = os.path.join(str(run.config.workdir), FAILED)
    if reason is not None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(reason.rstrip() + "\n")
    elif os.path.exists(path):
        os.remove(path)


def _with_known_names(
    workdir: str, runs: Sequence[Run], earlier: dict[str, dict[str, Any]]
) -> list[Run]:
    """Gives runs the names they have in the directory, because names depend on the whole sweep."""
    names = {json.dumps(own, sort_keys=True): name for name, own in earlier.items()}
    found, taken = [], set(earlier)
    for run in runs:
        name = names.get(json.dumps(settings(run.config), sort_keys=True))
        if name is None:
            name = run.name
            number = 2
            while name in taken:
                name, number = f"{run.name}-{number}", number + 1
            taken.add(name)
        config = dataclasses.replace(run.config, workdir=os.path.join(workdir, name))
        found.append(Run(name, config))
    return found


def _check_same(
    workdir: str, runs: Sequence[Run], earlier: dict[str, dict[str, Any]], extend: bool
) -> None:
    now = {run.name: settings(run.config) for run in runs}
    new, gone = [n for n in now if n not in earlier], [n for n in earlier if n not in now]
    if not new and not gone:
        return
    if extend and not gone:
        return
    before, after = _values(earlier.values()), _values(now.values())
    differ = [
        f"{name}: {before[name]} there, {after[name]} now"
        for name in after
        if before.get(name) != after[name]
    ]
    advice = "choose another --workdir"
    if not gone:
        advice = f"--extend adds the {len(new)} runs that are new, or {advice}"
    elif extend:
        advice = (
            f"{len(gone)} runs are missing, such as {gone[0]}, and --extend only adds; {advice}"
        )
    raise FileExistsError(
        f"{workdir} holds a sweep of another definition: "
        f"{'; '.join(differ) or 'its values are combined in another way'}. Nothing was changed: "
        f"{advice}."
    )


def _values(runs: Any) -> dict[str, str]:
    """Lists the values that each setting takes, as text."""
    found: dict[str, dict[str, None]] = {}
    for own in runs:
        for name, value in own.items():
            text = ",".join(value) if isinstance(value, list) else str(value)
            found.setdefault(name, {})[text] = None
    return {name: ",".join(texts) for name, texts in found.items()}


def _write(workdir: str, runs: dict[str, dict[str, Any]]) -> None:
    """Writes the settings that all runs share once, and for each run its own."""
    first = next(iter(runs.values()))
    shared = {
        name: value
        for name, value in first.items()
        if all(own.get(name) == value for own in runs.values())
    }
    own = {
        name: {key: value for key, value in all_of_it.items() if key not in shared}
        for name, all_of_it in runs.items()
    }
    path = os.path.join(workdir, DEFINITION)
    try:
        os.makedirs(workdir, exist_ok=True)
        lines = ",\n".join(f"    {json.dumps(n)}: {json.dumps(s)}" for n, s in own.items())
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(f'{{\n  "shared": {json.dumps(shared)},\n  "runs": {{\n{lines}\n  }}\n}}\n')
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".part", path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror}") from error
