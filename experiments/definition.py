"""What defines a run: every setting except where its data and its records lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .config import Config

PLACES = ("workdir", "data_dir")
"""Settings that say where things lie, and may differ when a run goes on elsewhere."""


def settings(config: Config) -> dict[str, Any]:
    """Returns the settings that define a run, as they are read back from JSON."""
    found = {name: value for name, value in vars(config).items() if name not in PLACES}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns recorded settings without places, and with defaults for settings that came later."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    unknown = {name: value for name, value in recorded.items() if name not in defaults}
    defaults["move_network"] = False  # what older versions did
    known = {**defaults, **{name: recorded[name] for name in recorded if name in defaults}}
    return {
        **{name: value for name, value in known.items() if name not in PLACES},
        **unknown,
    }


def differences(recorded: Mapping[str, Any], config: Config) -> list[str]:
    """Lists the settings in which a config differs from a recorded one.

    Args:
      recorded: the config in the first line of ``metrics.jsonl``, or in the file of a sweep.
      config: the config of now.

    Returns:
      One text for each setting that differs, such as "epochs: 200 there, 100 now".
    """
    before, now = completed(recorded), settings(config)
    absent = "no such setting"
    return [
        f"{name}: {_text(before.get(name, absent))} there, {_text(now.get(name, absent))} now"
        for name in dict.fromkeys([*now, *before])
        if before.get(name, absent) != now.get(name, absent)
    ]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
