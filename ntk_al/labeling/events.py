"""What happens in a campaign: one record for each event, which is never changed afterwards.

To add an event, write its class and add a row to ``EVENTS``; ``state`` says what it changes.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import zlib
from typing import Any

FORMAT = 1
"""The version of the records. A campaign of a later one is not opened."""

Id = str | int
"""An example's id, which the user chooses."""

Label = str | int
"""A class: its name if the campaign has names, else its number."""


@dataclasses.dataclass(frozen=True)
class Created:
    """The campaign was created.

    Attributes:
      format: the version of the records.
      num_examples: N, the size of the pool.
      pool: the digest of the pool.
      example: the shape and the dtype of an example.
      num_classes: C.
      audit: rows of the pool that are never proposed by a strategy, in the order of their draw.
      seed: from which every random draw is made.
      class_names: the names of the classes, in the order of their numbers, or ``None``.
    """

    format: int
    num_examples: int
    pool: str
    example: str
    num_classes: int
    audit: list[int]
    seed: int
    class_names: list[str] | None = None


@dataclasses.dataclass(frozen=True)
class Proposed:
    """Examples were proposed for labeling.

    Attributes:
      ids: those that were chosen, best first.
      strategy: the name of the strategy that chose them, or ``"typical"`` without a network.
      predictions: the class that the network predicted for each, or ``None`` without a network.
      audit: those that were added to measure accuracy.
    """

    ids: list[Id]
    strategy: str
    predictions: list[Label] | None = None
    audit: list[Id] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Labeled:
    """An example was labeled, or its label was replaced.

    Attributes:
      id: its id.
      label: its class.
      by: who labeled it, if that was said.
    """

    id: Id
    label: Label
    by: str | None = None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """An example is not to be labeled.

    Attributes:
      id: its id.
      by: who skipped it, if that was said.
    """

    id: Id
    by: str | None = None


@dataclasses.dataclass(frozen=True)
class Undone:
    """The label of an example, or its being skipped, was taken back.

    Attributes:
      id: its id.
    """

    id: Id


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network was seen for the first time; it was trained on the labels of that moment.

    Attributes:
      network: the digest of its parameters.
    """

    network: str


Event = Created | Proposed | Labeled | Skipped | Undone | Trained

EVENTS: dict[str, type[Event]] = {
    "created": Created,
    "proposed": Proposed,
    "labeled": Labeled,
    "skipped": Skipped,
    "undone": Undone,
    "trained": Trained,
}
"""All events by name."""

_NAMES = {cls: name for name, cls in EVENTS.items()}


@dataclasses.dataclass(frozen=True)
class Entry:
    """An event in the log.

    Attributes:
      number: its position, from 0.
      at: when it was written, in UTC, as ISO 8601.
      event: the event.
    """

    number: int
    at: str
    event: Event

    @classmethod
    def now(cls, number: int, event: Event) -> Entry:
        """Makes an entry with the time of now."""
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(number, time, event)

    def record(self) -> dict[str, Any]:
        """Returns the entry as an object of JSON."""
        fields = {k: v for k, v in dataclasses.asdict(self.event).items() if v is not None}
        record = {"number": self.number, "at": self.at, "event": _NAMES[type(self.event)], **fields}
        return {**record, "sum": _sum(record)}

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Entry:
        """Reads an entry.

        Raises:
          ValueError: if it has an unknown event, or lacks a field.
        """
        fields = dict(record)
        try:
            number, at, name, found = (fields.pop(k) for k in ("number", "at", "event", "sum"))
            if name not in EVENTS:
                raise ValueError(f"it is an unknown event {name!r}")
            if found != _sum({k: v for k, v in record.items() if k != "sum"}):
                raise ValueError("its checksum is not that of its content")
            return cls(int(number), str(at), EVENTS[name](**fields))
        except (KeyError, TypeError) as error:
            raise ValueError(f"its fields are not those of an event: {error}") from error


def _sum(record: dict[str, Any]) -> str:
    """A checksum by which damage is noticed that leaves the record one of JSON."""
    return f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"
