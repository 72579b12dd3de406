"""A campaign that another process may have open, without its pool."""

from __future__ import annotations

import os
from typing import NamedTuple

from ntk_al.labeling import creation, identity, log, report
from ntk_al.labeling.events import Id
from ntk_al.labeling.ledger import Ledger
from ntk_al.labeling.state import Answer


class Recorded(NamedTuple):
    """The labels of a campaign, for which no pool is needed.

    Attributes:
      answers: every label by id, with who gave it and when, in the order they were given.
      audit: ids of the examples that are set apart to measure accuracy.
    """

    answers: dict[Id, Answer]
    audit: list[Id]


def read(folder: str | os.PathLike[str]) -> report.Report:
    """Reports on a campaign that may be open in another process, without its pool.

    Args:
      folder: where it is kept.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is damaged, or of a later version.
    """
    return report.of_ledger(_ledger(folder))


def recorded(folder: str | os.PathLike[str]) -> Recorded:
    """Returns the labels of a campaign whose pool may be gone, or that is open elsewhere.

    Args:
      folder: where it is kept.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is damaged, or of a later version.
    """
    ledger = _ledger(folder)
    return Recorded(dict(ledger.state.labels), list(ledger.audit))


def _ledger(folder: str | os.PathLike[str]) -> Ledger:
    folder = os.fspath(folder)
    entries = log.read(folder)
    ids = identity.Ids.read(folder, creation.of_entries(entries).num_examples)
    return Ledger(entries, ids)
