"""The installed command ``ntk-al``: its first argument names what to do, the rest are flags."""

from __future__ import annotations

import importlib.metadata
import os
import runpy
import sys
from collections.abc import Sequence

COMMANDS = {"run": ("main", "one experiment: train, test, query, label, and again")}
"""Each command: the module beside this one that does it, and what it does."""

_FLAGFILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flags")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the module of a command as ``python -m`` would, so that flags and help are the same.

    Args:
      arguments: without the name of the program; those of the process by default.
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
    commands = "\n".join(f"  {name:8}{what}" for name, (_, what) in COMMANDS.items())
    return f"""usage: ntk-al COMMAND [FLAGS]

commands:
{commands}

"ntk-al COMMAND --help" describes the flags of a command. --flagfile=NAME reads flags from a file of
yours, or from one of these: {", ".join(sorted(os.listdir(_FLAGFILES)))}"""
