"""The state of a campaign: what its events amount to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from ntk_al.labeling.events import (
    Created,
    Entry,
    Id,
    Label,
    Labeled,
    Proposed,
    Skipped,
    Trained,
    Undone,
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """The label of an example.

    Attributes:
      label: its class.
      by: who gave it, if that was said.
      at: when, in UTC.
      number: the number of the event.
    """

    label: Label
    by: str | None
    at: str
    number: int


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A first label, beside what the network had predicted when it proposed the example.

    Attributes:
      predicted: the class that the network predicted.
      label: the class that was given.
    """

    predicted: Label
    label: Label


class State:
    """What the events of a campaign amount to; it only changes by ``add``.

    Args:
      entries: the entries of the log, of which the first one is of ``Created``.

    Attributes:
      created: the first event.
      created_at: when it was written.
      labels: the label of each labeled example, in the order in which they were given.
      skipped: ids that are not to be labeled, in order, with the number of the event.
      arrivals: the first label of each example beside its prediction, by id, in order.
      num_replaced: how many labels were replaced by others.
      num_undone: how many labels or skips were taken back.
      num_answers: how many labels, skips and undoings there were.
      trained: for each network by its digest, the number of the event in which it was first seen.
      proposal: the latest proposal, if any.
      predicted: the class that a network predicted when it last proposed an example, by id.
      pending: ids that were proposed and have neither a label nor a skip, in the order in which
        they were last proposed.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        first, *rest = entries
        assert isinstance(first.event, Created)
        self.created: Created = first.event
        self.created_at = first.at
        self.labels: dict[Id, Answer] = {}
        self.skipped: dict[Id, int] = {}
        self.arrivals: dict[Id, Arrival] = {}
        self.num_replaced = 0
        self.num_undone = 0
        self.num_answers = 0
        self.trained: dict[str, int] = {}
        self.proposal: Proposed | None = None
        self.pending: dict[Id, None] = {}
        self._proposed: set[Id] = set()
        self.predicted: dict[Id, Label] = {}
        self.add(rest)

    def add(self, entries: Iterable[Entry]) -> None:
        """Applies further entries."""
        for entry in entries:
            match entry.event:
                case Proposed():
                    self._propose(entry.event)
                case Labeled():
                    self._label(entry, entry.event)
                case Skipped(id=i):
                    self.skipped[i] = entry.number
                    self.num_answers += 1
                    self._answer(i)
                case Undone(id=i):
                    self.labels.pop(i, None)
                    self.skipped.pop(i, None)
                    if i in self._proposed:
                        self.pending[i] = None
                    self.num_undone += 1
                    self.num_answers += 1
                case Trained(network=digest):
                    self.trained.setdefault(digest, entry.number)

    def _propose(self, event: Proposed) -> None:
        self.proposal = event
        for i in (*event.ids, *event.audit):
            self.pending.pop(i, None)
            self.pending[i] = None
            self._proposed.add(i)
        if event.predictions is not None:
            self.predicted.update(zip(event.ids, event.predictions, strict=True))

    def _label(self, entry: Entry, event: Labeled) -> None:
        if event.id in self.labels:
            self.num_replaced += 1
        elif event.id in self.predicted:
            first = Arrival(self.predicted[event.id], event.label)
            self.arrivals.setdefault(event.id, first)
        # A replaced label moves to the end: networks before it were trained on another one.
        self.labels.pop(event.id, None)
        self.labels[event.id] = Answer(event.label, event.by, entry.at, entry.number)
        self.skipped.pop(event.id, None)
        self._answer(event.id)
        self.num_answers += 1

    def _answer(self, i: Id) -> None:
        self.pending.pop(i, None)
