"""Gathers a sweep into two files that last: its definition, and the records of all its runs.

python -m experiments.sweep.gather --workdir=runs/SWEEP --to=experiments/results/SWEEP

Figures are drawn from what was gathered as from the sweep itself. Places are left out, which say
nothing to others, and so are what repeats in a run, and runs that are not finished.
``--back`` makes a directory of a sweep again, so that runs can be added.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from absl import app, flags

from ntk_al._utils import files

from .. import records
from ..definition import PLACES
from . import directory, gathered


def gather(workdir: str, to: str) -> int:
    """Writes the files; they replace those that were gathered before.

    Args:
      workdir: the directory of a sweep.
      to: the folder for the files.

    Returns:
      The number of runs that were gathered, finished or failed.

    Raises:
      FileExistsError: if the folder holds the records of a run.
      FileNotFoundError: if the directory has no definition.
      OSError: if a file cannot be written.
      ValueError: if a file is damaged, no run has ended, or the folder is the directory itself.
    """
    definition = directory.read_definition(workdir)
    runs = {name: list(_lines(workdir, name, own)) for name, own in definition.items()}
    ended = {name: lines for name, lines in runs.items() if lines}
    if not ended:
        raise ValueError(f"no run of {workdir} has ended")
    if records.has_lines(to) and "run" not in records.read(to)[0]:
        raise FileExistsError(f"{to} holds the records of a run: choose another --to")
    if os.path.exists(to) and os.path.samefile(workdir, to):
        raise ValueError("--to must not be the directory of the sweep itself")
    os.makedirs(to, exist_ok=True)
    with open(os.path.join(workdir, directory.DEFINITION), encoding="utf-8") as file:
        files.write(os.path.join(to, directory.DEFINITION), file.read())
    text = "".join(
        json.dumps(line, separators=(",", ":")) + "\n" for lines in ended.values() for line in lines
    )
    files.write(os.path.join(to, records.METRICS), text)
    return len(ended)


def scatter(folder: str, workdir: str) -> int:
    """Makes the directory of a sweep from what was gathered, so that the sweep can go on.

    Args:
      folder: a folder that ``gather`` wrote.
      workdir: the directory to make, which must not exist or be empty.

    Returns:
      The number of finished runs.

    Raises:
      FileExistsError: if the directory holds something.
      FileNotFoundError: if the folder has no definition or no records.
      OSError: if a file cannot be written.
      ValueError: if a file is damaged.
    """
    if os.path.isdir(workdir) and os.listdir(workdir):
        raise FileExistsError(f"{workdir} is not empty, and nothing was written")
    directory.read_definition(folder)
    runs: dict[str, list[dict[str, Any]]] = {}
    name = ""
    for line in gathered.restored(records.read(folder)):
        name = line.pop("run", name)
        if not name:
            raise ValueError(f"{folder} was not gathered from a sweep: its runs have no names")
        if "failed" not in line:
            runs.setdefault(name, []).append(line)
    for name, lines in runs.items():
        os.makedirs(os.path.join(workdir, name))
        text = "".join(json.dumps(line) + "\n" for line in lines)
        files.write(os.path.join(workdir, name, records.METRICS), text)
    with open(os.path.join(folder, directory.DEFINITION), encoding="utf-8") as file:
        files.write(os.path.join(workdir, directory.DEFINITION), file.read())
    return len(runs)


def _lines(workdir: str, name: str, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    own = os.path.join(workdir, name)
    found = records.read(own) if records.has_lines(own) else []
    failed = os.path.join(own, directory.FAILED)
    if len(found) < settings["cycles"]:
        if os.path.exists(failed):
            with open(failed, encoding="utf-8") as file:
                yield {"run": name, "failed": file.read().strip()}
        return
    for record in gathered.shortened(name, found):
        if "config" in record:
            config = {k: v for k, v in record["config"].items() if k not in PLACES}
            record = {**record, "config": config}
        yield record


def main(arguments: Sequence[str]) -> None:
    """Gathers one sweep; errors end the program with a message."""
    del arguments
    do = scatter if flags.FLAGS.back else gather
    try:
        number = do(flags.FLAGS.workdir, flags.FLAGS.to)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"wrote {number} runs into {flags.FLAGS.to}")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "The directory of a sweep.", required=True)
    flags.DEFINE_string("to", None, "The folder for the files.", required=True)
    flags.DEFINE_bool("back", False, "Make a directory of a sweep from what was gathered.")
    app.run(main)
