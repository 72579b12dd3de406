"""Does all runs of a sweep that are not finished yet.

ntk-al sweep --flagfile=quick_look.flags
python -m experiments.sweep --flagfile=quick_look.flags   (the same, from the root of a clone)

Each flag of a run takes a list, such as --strategy=mlmoc,random --seed=0..9, and the sweep has all
combinations. Killed at any moment, the same command goes on where it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import stopping

if __name__ == "__main__":  # before the imports that take seconds
    stopping.install("nothing was written")

from ntk_al._utils import extras

try:
    with extras.needed("experiments need", "absl-py and matplotlib", extra="experiments"):
        from absl import app, flags

        from .. import command_line, compiled, lock, loggers, records
        from . import directory, display, execution, grid
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

_REFUSED = (ValueError, TypeError, OSError, extras.MissingExtraError)


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines all flags."""
    grid.define_all(values)
    compiled.define(values)
    loggers.define(values)
    flags.DEFINE_string(
        "workdir",
        None,
        "The directory of the sweep, with a directory for each run.",
        flag_values=values,
    )
    flags.DEFINE_integer("jobs", 1, "How many runs are done at a time.", 1, flag_values=values)
    flags.DEFINE_bool(
        "list",
        False,
        "Print each run that is not finished as a command line of its own, and do none. Runs that "
        "are done elsewhere join by their directory.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "extend", False, "Add runs to those that the directory has.", flag_values=values
    )


def main(arguments: Sequence[str]) -> None:
    """Does the runs, and ends with status 1 if some of them failed."""
    if len(arguments) > 1:
        sys.exit(f"error: not a flag: {' '.join(arguments[1:])}; flags begin with --, see --help")
    values = flags.FLAGS
    try:
        if not values.workdir:
            raise ValueError("a sweep needs a directory: --workdir=runs/NAME")
        loggers.check(values.logger)
        first = next(iter(directory.recorded(values.workdir).values()), None)
        runs = grid.runs(values, values.workdir, first)
        lock.check_not_held(values.workdir)
        runs = directory.enter(values.workdir, runs, values.extend)
        if values.list:
            _list(runs, [f"--logger={name}" for name in values.logger])
            return
        held = lock.Lock(values.workdir)
    except BrokenPipeError:
        os._exit(141)  # who reads the list, such as head, has read enough
    except _REFUSED as error:
        sys.exit(f"error: {error}")
    stopping.install(f"the same command goes on with the cycles that are in {values.workdir}")
    try:
        failed = _do(runs, values)
    except OSError as error:  # of the sweep itself, such as a terminal that is gone
        sys.exit(f"error: {error}")
    finally:
        held.release()
    if failed:
        sys.exit(f"error: {failed} of {len(runs)} runs failed; each has a {directory.FAILED}")
    print(f"all {len(runs)} runs of {values.workdir} are finished")


def _list(runs: Sequence[grid.Run], more: Sequence[str]) -> None:
    for run in runs:
        if not directory.is_finished(run):
            print(grid.command(run, more))


def _do(runs: Sequence[grid.Run], values: flags.FlagValues) -> int:
    """Does the runs that are not finished, and returns how many failed."""
    for run in runs:
        if directory.is_finished(run):
            directory.note_failure(run, None)
    done = {
        run.name: records.read(str(run.config.workdir)) if directory.num_done(run) else []
        for run in runs
    }
    shown = display.Display(runs, done, values.jobs)
    failed = 0

    def end(run: grid.Run, reason: str | None) -> None:
        nonlocal failed
        failed += reason is not None
        found = None if reason else records.read(str(run.config.workdir))[-1]["test_accuracy"]
        shown.end(run, reason, found)

    try:
        execution.execute(
            [run for run in runs if not directory.is_finished(run)],
            execution.Options(
                values.jobs, compiled.cache_dir(), values.keep_compiled, tuple(values.logger)
            ),
            shown.record,
            end,
            directory.digests(runs),
        )
    finally:
        shown.close()
    return failed


if __name__ == "__main__":
    define()
    for module in (grid, compiled, loggers):
        flags.adopt_module_key_flags(module)
    app.run(main, flags_parser=command_line.parse)
