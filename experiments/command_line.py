"""The command line: turns absl flags into a ``Config``, and finds flagfiles by their bare names."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import typing
from collections.abc import Sequence

from absl import app, flags, logging

from .config import Config

FLAGFILE_DIR = pathlib.Path(__file__).absolute().parent / "flags"
SWEEP_DIR = FLAGFILE_DIR / "sweeps"


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for each field of ``Config``, with the field's default and help."""
    types = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        name, help = field.name, field.metadata["help"]
        default: typing.Any = field.default
        kinds = {types[name], *typing.get_args(types[name])}
        if bool in kinds:
            flags.DEFINE_bool(name, default, help, flag_values=values)
        elif int in kinds:
            flags.DEFINE_integer(name, default, help, flag_values=values)
        elif {float, str} <= kinds:
            flags.DEFINE(NumberOrName(), name, default, help, values)
        elif float in kinds:
            flags.DEFINE_float(name, default, help, flag_values=values)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, list(default), help, flag_values=values)
        else:
            flags.DEFINE_string(name, default, help, flag_values=values)


class NumberOrName(flags.ArgumentParser[float | str]):
    """Reads a number, and anything else as a name."""

    syntactic_help = "a number or a name"

    def parse(self, argument: str | float) -> float | str:
        """Returns a number if the argument is one."""
        try:
            return float(argument)
        except ValueError:
            return str(argument)

    def flag_type(self) -> str:
        """The name of the type, which ``--help`` shows."""
        return "number or name"


def to_config(values: flags.FlagValues = flags.FLAGS) -> Config:
    """Turns parsed flags into a ``Config``, and raises the errors of ``Config``."""
    fields = {field.name: values[field.name].value for field in dataclasses.fields(Config)}
    lists_as_tuples = {
        name: tuple(filter(None, value)) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    return Config(**typing.cast(dict[str, typing.Any], lists_as_tuples))


def parse(arguments: Sequence[str]) -> list[str]:
    """Parses the flags of a program for ``app.run``; errors end it with a message."""
    logging.set_verbosity(logging.WARNING)
    try:
        return app.parse_flags_with_usage(find_flagfiles(arguments))
    except (OSError, ValueError) as error:  # also a flagfile that is not text
        sys.exit(f"error: {error}")


def find_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Replaces bare names of flagfiles by paths to the flagfiles that come with this package.

    A file in the current directory takes precedence, as it would with absl alone.

    Args:
      arguments: the command line.

    Returns:
      The command line with paths.

    Raises:
      FileNotFoundError: if there is no such flagfile; the message lists the available ones.
    """
    found: list[str] = []
    name_follows = False
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        is_flagfile = flag in ("--flagfile", "-flagfile")
        if name_follows:
            found.append(_find_flagfile(argument))
        elif is_flagfile and equals:
            found.append(f"{flag}={_find_flagfile(value)}")
        else:
            found.append(argument)
        name_follows = is_flagfile and not equals and not name_follows
    return found


def _find_flagfile(name: str) -> str:
    folders = (FLAGFILE_DIR, SWEEP_DIR)
    own = [str(folder / (name + end)) for folder in folders for end in ("", ".flags")]
    for path in (name, *own):
        if os.path.isfile(path):
            return path
    known = ", ".join(sorted(path.name for folder in folders for path in folder.glob("*.flags")))
    raise FileNotFoundError(
        f"no flagfile {name!r}, neither here nor among those that come with this package: {known}"
    )
