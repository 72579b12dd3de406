"""The directory of a sweep: its definition in ``sweep.json``, and one directory for each run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from ntk_al._utils import files

from .. import continuation, records
from ..definition import completed, settings
from .grid import Run

DEFINITION = records.SWEEP
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
    if os.path.exists(os.path.join(workdir, records.METRICS)):
        raise FileExistsError(
            f"{workdir} holds a single run, or a sweep that was gathered. Nothing was changed: "
            "choose another --workdir, or make one of it by experiments.sweep.gather --back."
        )
    earlier = recorded(workdir)
    if earlier:
        runs = _with_known_names(workdir, runs, earlier)
        _check_same(workdir, runs, earlier, extend)
    for run in runs:
        if records.has_lines(str(run.config.workdir)):
            continuation.check_same(records.read(str(run.config.workdir)), run.config)
    digests(runs)
    now = {run.name: settings(run.config) for run in runs}
    if {**earlier, **now} != earlier:
        _write(workdir, {**earlier, **now})
    return list(runs)


def recorded(workdir: str) -> dict[str, dict[str, Any]]:
    """Returns the settings of each run of the sweep that a directory holds, if any."""
    if os.path.exists(os.path.join(workdir, DEFINITION)):
        return read_definition(workdir)
    return {}


def digests(runs: Sequence[Run]) -> dict[str, str]:
    """Returns the digest of each dataset, as far as there are records that tell.

    Raises:
      FileExistsError: if runs on one dataset hold other examples, so that they cannot be compared.
    """
    found: dict[str, str] = {}
    for run in runs:
        lines = records.read(str(run.config.workdir)) if num_done(run) else [{}]
        digest = lines[0].get("data_digest")
        if digest is not None and found.setdefault(run.config.dataset, digest) != digest:
            raise FileExistsError(
                f"{run.config.workdir} was done on other examples than the runs before it, also of "
                f"{run.config.dataset}: they cannot be compared, so move one of them away"
            )
    return found


def num_done(run: Run) -> int:
    """Returns the number of cycles of a run that are on disk."""
    workdir = str(run.config.workdir)
    return len(records.read(workdir)) if records.has_lines(workdir) else 0


def is_finished(run: Run) -> bool:
    """Returns whether all cycles of a run are on disk."""
    return num_done(run) >= continuation.num_records(run.config)


def note_failure(run: Run, reason: str | None) -> None:
    """Writes why a run failed into its directory, or removes what is written there.

    If that is not possible, such as on a full disk, it is left: the reason is also shown.
    """
    path = os.path.join(str(run.config.workdir), FAILED)
    with contextlib.suppress(OSError):
        if reason is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write(path, reason.rstrip() + "\n")
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
        f"{name}: {_listed(before.get(name))} there, {_listed(after.get(name))} now"
        for name in dict.fromkeys([*after, *before])
        if set(before.get(name, ())) != set(after.get(name, ()))
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


def _values(runs: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Lists the values that each setting takes, as text."""
    found: dict[str, dict[str, None]] = {}
    for own in runs:
        for name, value in own.items():
            text = ",".join(value) if isinstance(value, list) else str(value)
            found.setdefault(name, {})[text] = None
    return {name: list(texts) for name, texts in found.items()}


def _listed(values: list[str] | None) -> str:
    return "no such setting" if values is None else ",".join(values)


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
    lines = ",\n".join(f"    {json.dumps(n)}: {json.dumps(s)}" for n, s in own.items())
    path = os.path.join(workdir, DEFINITION)
    try:
        os.makedirs(workdir, exist_ok=True)
    except OSError as error:
        raise OSError(f"the directory {workdir} cannot be made: {error.strerror}") from error
    files.write(path, f'{{\n  "shared": {json.dumps(shared)},\n  "runs": {{\n{lines}\n  }}\n}}\n')
