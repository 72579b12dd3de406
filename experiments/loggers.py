"""What is written beside ``metrics.jsonl``, for programs that read something else.

Loggers only repeat the records. A run that goes on writes its earlier records again, so that what
they leave is always whole.
"""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from absl import flags

from ntk_al._utils import extras
from ntk_al.acquisition import STRATEGIES

FIELDS = (
    "strategy", "scheme", "seed", "cycle", "num_labeled", "test_accuracy", "train_loss",
    "train_seconds", "query_seconds",
)  # fmt: skip
"""The fields of a record that are logged."""

_EVENTS = "events.out.tfevents.*"


class Logger(Protocol):
    """Writes records somewhere."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes a record."""

    def close(self) -> None:
        """Completes what was written."""


class CsvLogger:
    """Writes ``metrics.csv``, with a row for each cycle."""

    def __init__(self, workdir: str) -> None:
        path = os.path.join(workdir, "metrics.csv")
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as before:
                if before.readline().strip() not in ("", ",".join(FIELDS)):
                    raise FileExistsError(f"{path} is of another kind and would be replaced")
        self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115  see close()
        self._writer = csv.DictWriter(self._file, FIELDS, extrasaction="ignore")
        self._writer.writeheader()

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes a row."""
        self._writer.writerow(record)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardLogger:
    """Writes event files into ``tensorboard/``, with one series for each strategy."""

    def __init__(self, workdir: str) -> None:
        self._make = _summary_writer()
        self._folder = os.path.join(workdir, "tensorboard")
        for strategy in STRATEGIES:  # events of these records that were written before
            for path in glob.glob(os.path.join(glob.escape(self._folder), strategy, _EVENTS)):
                os.remove(path)
        self._writers: dict[str, Any] = {}

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes each number, with the number of labels as the step."""
        name = record["strategy"]
        if name not in self._writers:
            self._writers[name] = self._make(os.path.join(self._folder, name))
        for field in ("test_accuracy", "train_loss", "train_seconds", "query_seconds"):
            self._writers[name].add_scalar(field, record[field], record["num_labeled"])
        self._writers[name].flush()

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()


def _summary_writer() -> Any:
    with extras.needed("--logger=tensorboard needs", "tensorboardX", extra="tensorboard"):
        from tensorboardX import SummaryWriter

    return SummaryWriter


LOGGERS: dict[str, Callable[[str], Logger]] = {"csv": CsvLogger, "tensorboard": TensorBoardLogger}
"""All loggers by name."""


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag that chooses loggers. It is no part of the definition of a run."""
    flags.DEFINE_multi_enum(
        "logger",
        [],
        sorted(LOGGERS),
        "Write the records in this form, too; may be given several times.",
        flag_values=values,
    )


def check(names: Sequence[str]) -> None:
    """Raises MissingExtraError if a library of a logger is not installed."""
    if "tensorboard" in names:
        _summary_writer()


def start(names: Sequence[str], workdir: str, earlier: Sequence[Mapping[str, Any]]) -> list[Logger]:
    """Starts loggers, and has them write the records of earlier cycles.

    Args:
      names: keys of ``LOGGERS``.
      workdir: the work directory.
      earlier: the records that were there.

    Raises:
      MissingExtraError: if a library is not installed.
      OSError: if a file cannot be written.
    """
    found = [LOGGERS[name](workdir) for name in dict.fromkeys(names)]
    for logger in found:
        for record in earlier:
            logger.write(record)
    return found
