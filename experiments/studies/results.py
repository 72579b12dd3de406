"""The results of a study as one JSON file, which a study that was killed goes on from.

A file holds the definition of the study, the slopes over the widths, and a row for each width and
seed. Widths and seeds are not part of the definition, so a finished study can be continued with
more of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import app, flags, logging
from absl.flags import FlagValues

from ntk_al._utils import extras, files
from ntk_al.training import DivergedError

from .. import stopping
from ..lock import Lock
from . import scaling
from .scaling import Row
from .settings import Settings

flags.disclaim_key_flags()  # the flags belong to the study, which shows them in its --help


@dataclasses.dataclass(frozen=True)
class Study:
    """A study of networks of several widths.

    Attributes:
      name: the name of its file, without ``.json``.
      quantities: what is measured at finite widths, the main one first.
      measure_row: measures the row of a width and a seed, without these two; the width is ``None``
        for infinite width.
      infinite: whether there is also a row of infinite width for each seed.
    """

    name: str
    quantities: tuple[str, ...]
    measure_row: Callable[[int | None, int, Settings], Row]
    infinite: bool = False

    def row(self, width: int | None, seed: int, settings: Settings) -> Row:
        """Measures one row."""
        return {"width": width, "seed": seed, **self.measure_row(width, seed, settings)}

    def cases(self, widths: Iterable[int], seeds: Sequence[int]) -> list[tuple[int | None, int]]:
        """Lists the widths and seeds of the rows, small networks first."""
        all_widths = [*([None] if self.infinite else []), *sorted(set(widths))]
        return [(width, seed) for width in all_widths for seed in seeds]


def result(study: Study, settings: Settings, rows: Iterable[Row]) -> dict[str, Any]:
    """Makes the result of a study, which can be written as JSON, from its rows."""
    ordered = sorted(rows, key=lambda row: (row["width"] or 0, row["seed"]))
    return {
        "definition": {"study": study.name, **dataclasses.asdict(settings)},
        "slopes": {name: scaling.slope(ordered, name) for name in study.quantities},
        "rows": ordered,
    }


def measure(
    study: Study, widths: Iterable[int], seeds: Sequence[int], settings: Settings
) -> dict[str, Any]:
    """Measures all rows of a study and writes nothing."""
    return result(
        study, settings, [study.row(*case, settings) for case in study.cases(widths, seeds)]
    )


def complete(
    study: Study,
    widths: Iterable[int],
    seeds: Sequence[int],
    settings: Settings,
    workdir: str,
    *,
    show: Callable[[Row], None] = lambda row: None,
) -> dict[str, Any]:
    """Measures the rows that a work directory does not hold yet, and writes each at once.

    Args:
      study: the study.
      widths: the widths of the networks.
      seeds: the seeds, each with its own data and weights.
      settings: all other settings.
      workdir: the work directory, which is created if it does not exist.
      show: called with each new row.

    Returns:
      The result with the rows of before and the new ones.

    Raises:
      FileExistsError: if the file has another definition, or another process writes into the
        folder.
      ValueError: if the file is damaged.
      DivergedError: if a training does not converge.
    """
    os.makedirs(workdir, exist_ok=True)
    path = os.path.join(workdir, f"{study.name}.json")
    with contextlib.ExitStack() as stack:
        stack.callback(Lock(workdir).release)
        found = result(study, settings, _rows_before(path, result(study, settings, [])))
        done = {(row["width"], row["seed"]) for row in found["rows"]}
        for case in study.cases(widths, seeds):
            if case not in done:
                row = study.row(*case, settings)
                found = result(study, settings, [*found["rows"], row])
                files.write(path, json.dumps(found, indent=1, allow_nan=False) + "\n")
                show(row)
    return found


def define_flags(values: FlagValues) -> None:
    """Defines the flags of a study."""
    flags.DEFINE_string("workdir", None, "The folder for the JSON file.", flag_values=values)
    flags.DEFINE_list(
        "widths", "64,128,256,512,1024,2048", "The widths of the networks.", flag_values=values
    )
    flags.DEFINE_integer("seeds", 6, "The number of seeds.", 1, flag_values=values)
    for field in dataclasses.fields(Settings):
        define = _DEFINE[type(field.default)]
        define(field.name, field.default, field.metadata["help"], flag_values=values)
    flags.mark_flag_as_required("workdir", flag_values=values)
    flags.register_validator(
        "widths",
        lambda widths: widths and all(width.isdecimal() and int(width) for width in widths),
        message="widths are whole numbers above 0, separated by commas",
        flag_values=values,
    )


def run(study: Study, values: FlagValues) -> dict[str, Any]:
    """Completes a study with the given flags, and prints its rows and slopes."""
    given: dict[str, Any] = {f.name: values[f.name].value for f in dataclasses.fields(Settings)}
    settings = Settings(**given)
    widths = [int(width) for width in values.widths]
    found = complete(study, widths, range(values.seeds), settings, values.workdir, show=_show)
    for name, slope in found["slopes"].items():
        if slope is not None:
            print(f"slope of {name}: {_numbers(slope)}")
    return found


def main(study: Study) -> None:
    """Runs a study with the flags of the command line; errors end it with a message."""

    def with_arguments(arguments: Sequence[str]) -> None:
        if len(arguments) > 1:
            raise app.UsageError(f"not a flag: {' '.join(arguments[1:])}")
        stopping.install(f"the rows that were completed are in {flags.FLAGS.workdir}")
        try:
            run(study, flags.FLAGS)
        except (ValueError, OSError, DivergedError, extras.MissingExtraError) as error:
            sys.exit(f"error: {error}")

    logging.set_verbosity(logging.WARNING)
    define_flags(flags.FLAGS)
    app.run(with_arguments)


_DEFINE: dict[type, Callable[..., Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
}


def _rows_before(path: str, empty: dict[str, Any]) -> list[Row]:
    """Reads the rows of a file that may not exist, and refuses those of another definition."""
    try:
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
        definition, rows = before["definition"], list(before["rows"])
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}. Move it away to begin anew.") from error
    if definition != empty["definition"]:
        raise FileExistsError(
            f"{path} holds a study with the definition {definition}, but this one has "
            f"{empty['definition']}. Nothing was changed: choose another --workdir"
        )
    return rows


def _show(row: Row) -> None:
    print(_numbers(row), flush=True)


def _numbers(row: Row) -> str:
    """Formats the numbers of a row, without its lists."""
    cells = {name: value for name, value in row.items() if not isinstance(value, list)}
    return "  ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in cells.items()
    )
