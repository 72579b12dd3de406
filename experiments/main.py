"""Runs one experiment: ``python -m experiments.main --flagfile=digits.flags``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from experiments import command_line, figures, loop, records
from ntk_al.training import DivergedError

command_line.define()
flags.adopt_module_key_flags(command_line)  # so that --help shows them


def main(arguments: Sequence[str]) -> None:
    """Flags to config, config to experiment, experiment to records."""
    if len(arguments) > 1:
        raise app.UsageError(f"not a flag: {' '.join(arguments[1:])}")
    try:
        experiment = loop.prepare(command_line.to_config(), _cache_dir())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"work directory: {experiment.workdir}", flush=True)
    try:
        workdir = loop.run(experiment)
    except (DivergedError, ValueError, OSError, KeyboardInterrupt) as error:
        what = str(error) or type(error).__name__
        sys.exit(f"error: {what}\nThe cycles that were completed are in {experiment.workdir}.")
    print(f"wrote {records.METRICS} and {figures.ACCURACY} in {workdir}")


def _cache_dir() -> str:
    """Where decoded datasets are kept, by the XDG convention."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "ntk_al")


def _parse(arguments: list[str]) -> list[str]:
    try:
        return app.parse_flags_with_usage(command_line.find_flagfiles(arguments))
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main, flags_parser=_parse)
