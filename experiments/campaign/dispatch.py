"""From the words of a command line to one command on one campaign."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ntk_al._utils import extras

from .. import progress

REFUSED = (ValueError, TypeError, OSError, ArithmeticError, extras.MissingExtraError)
"""The errors that end a command with a message."""

Flags = dict[str, Any]
"""The values of all flags, by name."""


class Command(NamedTuple):
    """A command.

    Attributes:
      run: does it, given the folder of a campaign, further words, and the flags; returns the lines
        that are shown.
      usage: its arguments after the name of the program.
      help: what it does.
      takes_more: whether words may follow the folder.
    """

    run: Callable[[str, list[str], Flags], list[str]]
    usage: str
    help: str
    takes_more: bool = False


def usage(program: str, commands: Mapping[str, Command]) -> str:
    """Returns the usage of all commands of a program."""
    lines = ["usage:"]
    for command in commands.values():
        lines += [f"  {program} {command.usage}", f"      {command.help}"]
    return "\n".join(lines)


def serve(
    arguments: Sequence[str], program: str, commands: Mapping[str, Command], flags: Flags
) -> None:
    """Does a command; errors end the program with a message.

    Args:
      arguments: the command line, without flags: the program, a command, a folder, further words.
      program: what people call it, such as ``ntk-al campaign``.
      commands: its commands by name.
      flags: the values of all flags.
    """
    name, folder, *rest = [*arguments[1:], "", ""]
    if not name:
        print(f"{usage(program, commands)}\n\n--help describes the flags.")
        return
    if name not in commands:
        known = ", ".join(commands)
        sys.exit(f"error: unknown command {name!r}; known: {known}\n\n{usage(program, commands)}")
    command = commands[name]
    if not folder:
        sys.exit(f"error: which campaign? {program} {command.usage}")
    more = [argument for argument in rest if argument]
    if more and not command.takes_more:
        sys.exit(f"error: not a flag: {' '.join(more)}; flags begin with --, see --help")
    warnings.formatwarning = progress.as_line
    try:
        for line in command.run(folder, more, flags):
            print(line)
    except BrokenPipeError:
        os._exit(141)  # who reads the output, such as head, has read enough
    except REFUSED as error:
        sys.exit(f"error: {error}")
