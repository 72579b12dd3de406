"""A campaign that another process may have open, without its pool."""

from __future__ import annotations

import os

from ntk_al.labeling import creation, identity, log, report
from ntk_al.labeling.ledger import Ledger


def read(folder: str | os.PathLike[str]) -> report.Report:
    """Reports on a campaign that may be open in another process, without its pool.

    Args:
      folder: where it is kept.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if it is damaged, or of a later version.
    """
    folder = os.fspath(folder)
    entries = log.read(folder)
    ids = identity.Ids.read(folder, creation.of_entries(entries).num_examples)
    return report.of_ledger(Ledger(entries, ids))
