"""The runs of a sweep, from flags that take lists of values."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from .. import command_line
from ..config import Config
from ..definition import PLACES, settings

FIELDS = {field.name: field for field in dataclasses.fields(Config) if field.name not in PLACES}
"""The settings that can take lists."""

_TYPES = typing.get_type_hints(Config)
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_RUNS = 100_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes:
      name: the name of its directory, unique in the sweep.
      config: its settings, with a single strategy and with its work directory.
    """

    name: str
    config: Config


class _ListFlag(flags.Flag):
    """A flag with a list of values; one of a boolean setting can also stand without a value."""

    def __init__(self, name: str, help: str, boolean: bool) -> None:
        parser: Any = flags.ListParser()
        super().__init__(parser, flags.ListSerializer(","), name, None, help, boolean=boolean)


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for each setting, which takes one value or a list of values."""
    for name, field in FIELDS.items():
        boolean = bool in {_TYPES[name], *typing.get_args(_TYPES[name])}
        help = field.metadata["help"]
        if field.default is not None:
            default = field.default if isinstance(field.default, tuple) else (field.default,)
            help += f" Default: {','.join(map(_text, default))}."
        flags.DEFINE_flag(_ListFlag(name, help, boolean), values)


def define_all(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of the settings, ``--data_dir`` and ``--also``."""
    define(values)
    data_dir = Config.__dataclass_fields__["data_dir"]
    flags.DEFINE_string("data_dir", None, data_dir.metadata["help"], flag_values=values)
    flags.DEFINE_multi_string(
        "also",
        [],
        "Further runs: flags that differ from those of the sweep, in one string, such as "
        "--also='--strategy=mlmoc --scheme=sequential'. May be given several times.",
        flag_values=values,
    )


def runs(
    values: flags.FlagValues, workdir: str, first: Mapping[str, Any] | None = None
) -> list[Run]:
    """Makes the runs of a sweep: all combinations of the values of its flags, then ``--also``.

    Args:
      values: parsed flags of ``define_all``.
      workdir: the directory of the sweep.
      first: the settings of the first run that the directory has. Names say what differs from it;
        by default, from the first run of these.

    Raises:
      TypeError: if a value has the wrong type.
      ValueError: if a value is unknown or out of range, a list is empty, or ``--also`` is not made
        of flags.
    """
    base = _given(values)
    blocks = [base, *({**base, **_parse_also(text)} for text in values["also"].value or [])]
    combinations = [one for block in blocks for one in _combinations(block)]
    # All runs of a seed come before the next seed, so that an unfinished sweep can be compared.
    combinations.sort(key=lambda one: one.get("seed", Config().seed))
    return _named(combinations, workdir, values["data_dir"].value, first)


def command(run: Run, more: Sequence[str] = ()) -> str:
    """Returns the command line that does one run, for schedulers of clusters.

    Args:
      run: the run.
      more: flags that are no settings.
    """
    defaults = settings(Config())
    given = {
        name: value
        for name, value in settings(run.config).items()
        if value != defaults[name] or name in ("strategy", "seed")
    }
    if run.config.data_dir is not None:
        given["data_dir"] = run.config.data_dir
    given["workdir"] = run.config.workdir
    parts = [f"--{name}={_text(value)}" for name, value in given.items()]
    module = f"{__package__.rpartition('.')[0]}.main"  # an installed copy has another name
    return shlex.join(["python", "-m", module, "--resume", *parts, *more])


def _parse_also(text: str) -> dict[str, list[str]]:
    values = flags.FlagValues()
    define(values)
    try:
        rest = values(["--also", *shlex.split(text)])[1:]
    except (flags.Error, ValueError) as error:
        raise ValueError(f"--also={text!r}: {error}") from error
    if rest:
        raise ValueError(f"--also={text!r} must consist of flags of settings, such as --scheme=...")
    return _given(values)


def _given(values: flags.FlagValues) -> dict[str, list[str]]:
    """Returns the lists of the flags that were given."""
    found: dict[str, Any] = {name: values[name].value for name in FIELDS}
    return {name: given for name, given in found.items() if given is not None}


def _combinations(block: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yields the settings of each run of a block."""
    lists = {name: _values(name, given) for name, given in block.items()}
    number = 1
    for name, found in lists.items():
        if not found:
            raise ValueError(f"--{name} has no value")
        number *= len(found)
        if number > _MOST_RUNS:
            raise ValueError(f"a sweep of more than {_MOST_RUNS} runs: --{name} has {len(found)}")
    for chosen in itertools.product(*lists.values()):
        yield dict(zip(lists, chosen, strict=True))


def _values(name: str, given: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    kinds = {_TYPES[name], *typing.get_args(_TYPES[name])}
    for text in filter(None, (text.strip() for text in given)):
        span = _RANGE.fullmatch(text)
        if span is not None and int in kinds:
            first, last = map(int, span.groups())
            if last - first >= _MOST_RUNS or first > last:
                raise ValueError(
                    f"--{name}={text}: a range is first..last, with first <= last and at most "
                    f"{_MOST_RUNS} numbers"
                )
            found += range(first, last + 1)
        elif text == "default" and type(None) in kinds:
            found.append(None)
        else:
            found.append(_value(name, text, kinds))
    return list(dict.fromkeys(found))


def _value(name: str, text: str, kinds: set[Any]) -> Any:
    try:
        if bool in kinds:
            return flags.BooleanParser().parse(text)
        if int in kinds:
            return int(text)
        if {float, str} <= kinds:
            return command_line.NumberOrName().parse(text)
        return float(text) if float in kinds else text
    except ValueError as error:
        raise ValueError(f"--{name}={text}: {error}") from error


def _named(
    combinations: list[dict[str, Any]],
    workdir: str,
    data_dir: str | None,
    first: Mapping[str, Any] | None,
) -> list[Run]:
    configs: dict[Config, None] = {}  # settings of two blocks may meet
    for chosen in combinations:
        strategies = (chosen["strategy"],) if "strategy" in chosen else Config().strategy
        configs[Config(**{**chosen, "strategy": strategies, "data_dir": data_dir})] = None
    first = first or settings(next(iter(configs)))
    found, taken = [], set()
    for config in configs:
        name = _name(settings(config), first)
        if name in taken:
            raise ValueError(f"two runs have the name {name!r}: datasets need names that differ")
        taken.add(name)
        found.append(Run(name, dataclasses.replace(config, workdir=os.path.join(workdir, name))))
    return found


def _name(own: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Names a run by its strategy, by what differs from the first run, and by its seed."""
    parts = [own["strategy"][0]]
    for name, value in own.items():
        if name not in ("strategy", "seed") and value != first[name]:
            text = os.path.splitext(os.path.basename(value))[0] if name == "dataset" else value
            parts.append(f"{name}={'default' if text is None else text}")
    parts.append(f"seed={own['seed']}")
    return re.sub(r"[^\w.=+-]", "_", "-".join(parts))


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
