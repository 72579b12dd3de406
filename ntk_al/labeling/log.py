"""The log of a campaign, ``events.jsonl``: append-only, on disk before a call returns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from ntk_al._utils import json_lines
from ntk_al._utils.lock import Lock
from ntk_al.labeling.events import FORMAT, Created, Entry, Event
from ntk_al.labeling.identity import Ids

EVENTS_FILE = "events.jsonl"
LOCK_FILE = "campaign.lock"
_ADVICE = (
    "close the campaign there, or wait until that process ends. labeling.read and ntk-al campaign "
    "status show its state meanwhile."
)


class Log:
    """The events of a campaign, and the only process that may add to them.

    Args:
      folder: the folder of the campaign; it must exist.
      created: the first event of a new campaign; ``None`` opens one.
      ids: the ids of a new campaign, which are written under the same lock.

    Attributes:
      entries: all entries, in order.

    Raises:
      FileExistsError: if another process has the campaign open, or a new one would replace one.
      FileNotFoundError: if there is no campaign in the folder.
      OSError: if the folder cannot be written.
      ValueError: if the log is damaged, or was written by a later version.

    Warns:
      UserWarning: if the last event was cut off, because the process died while it was written.
    """

    def __init__(self, folder: str, created: Created | None = None, ids: Ids | None = None) -> None:
        self._path = os.path.join(folder, EVENTS_FILE)
        self._descriptor: int | None = None
        self.entries: list[Entry] = []
        if created is None and not exists(folder):
            raise FileNotFoundError(_none_in(folder))
        self._lock: Lock | None = Lock(os.path.join(folder, LOCK_FILE), _ADVICE)
        try:
            if created is None:
                self.entries, part = _read(self._path)
                self._descriptor = json_lines.reopen(self._path)
                if part:
                    _warn_of_part(self._path, part)
            else:
                check_none(folder)
                if ids is not None:
                    ids.write(folder)
                self._create(created)
        except BaseException:
            self.close()
            raise

    def _create(self, created: Created) -> None:
        if os.path.lexists(self._path):
            os.remove(self._path)  # the creation of a campaign was cut off in its first line
        self._descriptor = json_lines.create(self._path)
        self.append([created])

    def append(self, events: Iterable[Event]) -> list[Entry]:
        """Writes events to disk, all of them or, on an error, none.

        Returns:
          Their entries.

        Raises:
          OSError: if they cannot be written, or the file was removed or moved away.
          ValueError: if the campaign is closed.
        """
        if self._descriptor is None:
            raise ValueError("the campaign is closed; open it again with Campaign.open")
        if not json_lines.is_at(self._path, self._descriptor):
            raise OSError(
                f"{self._path} was removed or moved away while the campaign was open. Nothing was "
                "written: put it back, and open the campaign again"
            )
        start = len(self.entries)
        entries = [Entry.now(start + i, event) for i, event in enumerate(events)]
        lines = b"".join(json_lines.encode(entry.record()) for entry in entries)
        try:
            json_lines.append(self._descriptor, lines)
        except OSError as error:
            raise OSError(
                f"{self._path} cannot be written, and nothing was: {error.strerror}"
            ) from error
        self.entries += entries
        return entries

    def close(self) -> None:
        """Lets other processes open the campaign; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def exists(folder: str) -> bool:
    """Returns whether a folder holds a campaign, that is, at least its first event."""
    path = os.path.join(folder, EVENTS_FILE)
    return os.path.isfile(path) and bool(json_lines.split(json_lines.content(path))[0])


def check_none(folder: str) -> None:
    """Raises FileExistsError if a folder holds a campaign."""
    if exists(folder):
        raise FileExistsError(
            f"{folder} holds a campaign already. Nothing was changed: open it, or choose another "
            "folder."
        )


def read(folder: str) -> list[Entry]:
    """Reads the entries of a campaign that another process may have open.

    Raises:
      FileNotFoundError: if there is no campaign in the folder.
      ValueError: if the log is damaged, or was written by a later version.
    """
    if not exists(folder):
        raise FileNotFoundError(_none_in(folder))
    return _read(os.path.join(folder, EVENTS_FILE))[0]


def _read(path: str) -> tuple[list[Entry], bytes]:
    records, part = json_lines.read(path)
    found = records[0].get("format")
    if records[0].get("event") == "created" and isinstance(found, int) and found > FORMAT:
        raise ValueError(
            f"{path} was written by a later version of ntk-al (format {found}; this one knows "
            f"{FORMAT}): upgrade ntk-al to open it"
        )
    entries = []
    for position, record in enumerate(records):
        try:
            entry = Entry.of_record(record)
            if entry.number != position:
                raise ValueError(f"it has number {entry.number} instead of {position}")
            if isinstance(entry.event, Created) != (position == 0):
                raise ValueError("a log begins with the event 'created' and has no other such one")
        except ValueError as error:
            raise ValueError(
                f"line {position + 1} of {path} is damaged: {error}. Restore the file from a copy"
            ) from error
        entries.append(entry)
    return entries, part


def _none_in(folder: str) -> str:
    return (
        f"{os.path.abspath(folder)} holds no campaign ({EVENTS_FILE} is missing): create one first"
    )


def _warn_of_part(path: str, part: bytes) -> None:
    warnings.warn(
        f"the last event of {path} was cut off, because the process died while it was written. "
        f"It is dropped, and every event before it is there: {part.decode(errors='replace')!r}",
        stacklevel=4,
    )
