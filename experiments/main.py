"""Runs an experiment.

ntk-al run --flagfile=digits.flags
python -m experiments.main --flagfile=digits.flags   (the same, from the root of a clone)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from . import stopping

if __name__ == "__main__":  # before the imports that take seconds
    stopping.install("nothing was written")

from ntk_al._utils import extras
from ntk_al.training import DivergedError

try:
    with extras.needed("experiments need", "absl-py and matplotlib", extra="experiments"):
        import matplotlib  # noqa: F401  a missing library should fail now, not after a run
        from absl import app, flags

        from . import (
            command_line,
            compiled,
            loggers,
            loop,
            preparation,
            progress,
            records,
        )
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

command_line.define()
compiled.define()
loggers.define()
flags.DEFINE_bool(
    "resume",
    False,
    "Go on with the run in --workdir, if it holds one of the same definition that is unfinished.",
)
for module in (command_line, compiled, loggers):
    flags.adopt_module_key_flags(module)  # so that --help shows them

_REFUSED = (ValueError, TypeError, OSError, extras.MissingExtraError)


def main(arguments: Sequence[str]) -> None:
    """Turns the flags into an experiment and runs it; errors end the program with a message."""
    if len(arguments) > 1:
        sys.exit(f"error: not a flag: {' '.join(arguments[1:])}; flags begin with --, see --help")
    warnings.formatwarning = progress.as_line
    if flags.FLAGS.keep_compiled:
        compiled.keep(compiled.cache_dir())
    try:
        loggers.check(flags.FLAGS.logger)
        experiment = preparation.prepare(
            command_line.to_config(), compiled.cache_dir(), resume=flags.FLAGS.resume
        )
    except _REFUSED as error:
        sys.exit(f"error: {error}")
    workdir = experiment.workdir
    completed = f"the cycles that were completed are in {workdir}"
    go_on = f"{completed}; --resume goes on with them"
    stopping.install(go_on)
    print(f"work directory: {workdir}", flush=True)
    try:
        loop.run(experiment, loggers=flags.FLAGS.logger)
    except FileExistsError as error:  # another run came in between
        sys.exit(f"error: {error}")
    except (*_REFUSED, DivergedError) as error:
        remains = go_on if isinstance(error, OSError) else completed
        sys.exit(f"error: {str(error).rstrip('.')}; {remains}")
    print(f"wrote {records.METRICS} and {records.ACCURACY} in {workdir}")


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse)
