"""The installed command ``ntk-al``: the first argument is a subcommand, the rest are flags."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import runpy
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": ("main", "run an experiment: repeatedly train, test, query and label"),
    "sweep": ("sweep", "run many experiments that differ in a few settings, such as seeds"),
    "campaign": (
        "campaign",
        "label your own examples: create, next, import, untell, export, status",
    ),
    "label-studio": ("label_studio", "exchange a campaign with Label Studio: push, pull"),
    "figure": ("figures", "draw a figure of the paper, or of your own sweeps"),
}
"""For each subcommand, the module in this package that implements it, and a description."""

_FLAGFILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flags")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the module of a subcommand as ``python -m`` would, with the same flags and help.

    Args:
      arguments: the arguments without the program name; by default, those of the process.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if name in COMMANDS:
        sys.argv = [sys.argv[0], *rest[:-1]]
        runpy.run_module(f"{__package__}.{COMMANDS[name][0]}", run_name="__main__", alter_sys=True)
    elif name == "--version":
        print(importlib.metadata.version("ntk-al"))
    elif name in ("", "help", "--help", "-h"):
        print(_usage())
    else:
        print(f"error: unknown command {name!r}\n\n{_usage()}", file=sys.stderr)
        sys.exit(2)


def _usage() -> str:
    commands = "\n".join(f"  {name:14}{what}" for name, (_, what) in COMMANDS.items())
    flagfiles = sorted({path.name for path in pathlib.Path(_FLAGFILES).rglob("*.flags")})
    return f"""usage: ntk-al COMMAND [FLAGS]

commands:
{commands}

"ntk-al COMMAND --help" describes the flags of a command. --flagfile=NAME reads flags from your own
file, or from one of these: {", ".join(flagfiles)}"""
