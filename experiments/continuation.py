"""Whether a run may write into its work directory: a new run, or the rest of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import definition, lock, records
from .config import Config


def check(config: Config, resume: bool) -> None:
    """Checks the work directory before the first long step, and changes nothing.

    Args:
      config: the settings of the run.
      resume: whether it may go on with an unfinished run.

    Raises:
      FileExistsError: if the work directory holds a run that this one would not go on with. The
        message says what differs, or that ``--resume`` would go on.
      ValueError: if ``resume`` is given without a work directory, or a record is damaged.
    """
    if config.workdir is None:
        if resume:
            raise ValueError("--resume goes on with the run in --workdir, which was not given")
        return
    if not records.has_lines(config.workdir):
        records.check_free(config.workdir)
        return
    lock.check_not_held(config.workdir)
    if resume:
        check_same(records.read(config.workdir), config)
        return
    try:
        records.check_free(config.workdir)
    except FileExistsError as error:
        if not _is_unfinished(config):
            raise
        lines, of = len(records.read(config.workdir)), num_records(config)
        raise FileExistsError(
            f"{config.workdir} already holds a run ({records.METRICS} has {lines} lines) with the "
            f"same definition, and {of - lines} of its {of} cycles are still to be done. Nothing "
            "was changed: add --resume to go on with it, or choose another --workdir."
        ) from error


def check_same(earlier: Sequence[dict[str, Any]], config: Config, data: str | None = None) -> None:
    """Checks that records are the beginning of what a config describes.

    Args:
      earlier: the records, at least one.
      config: the settings of now.
      data: the digest of the data of now; ``None`` means that it is not compared.

    Raises:
      FileExistsError: if they are not; the message lists what differs.
    """
    first = earlier[0]
    if not isinstance(first.get("config"), dict):
        raise FileExistsError(
            f"{config.workdir} holds records without their configuration, so that the run cannot "
            "go on. Nothing was changed: choose another --workdir."
        )
    different = definition.differences(first["config"], config)
    if data is not None and first.get("data_digest", data) != data:
        different.append("the dataset holds other examples")
    expected = [(name, cycle) for name in config.strategy for cycle in range(config.cycles)]
    found = [(record.get("strategy"), record.get("cycle")) for record in earlier]
    lists = all(isinstance(record.get("queried"), list) for record in earlier)
    if not different and not (lists and found == expected[: len(found)]):
        different.append("its cycles are not those of one run")
    if different:
        raise FileExistsError(
            f"{config.workdir} holds a run of another definition: {'; '.join(different)}. Nothing "
            "was changed: choose another --workdir, or the flags of that run."
        )


def num_records(config: Config) -> int:
    """Returns the number of records of a finished run."""
    return len(config.strategy) * config.cycles


def _is_unfinished(config: Config) -> bool:
    try:
        earlier = records.read(config.workdir or "")
        check_same(earlier, config)
    except (FileExistsError, ValueError):
        return False
    return len(earlier) < num_records(config)
