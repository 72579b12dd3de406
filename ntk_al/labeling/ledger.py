"""The labels of a campaign as they stand, and the events by which they change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from ntk_al.labeling.classes import Classes
from ntk_al.labeling.events import Entry, Event, Id, Label, Labeled, Skipped, Undone
from ntk_al.labeling.identity import Ids, as_ids
from ntk_al.labeling.state import State

Append = Callable[[Iterable[Event]], Sequence[Entry]]
"""A function that writes events to disk, and returns their entries."""


class Ledger:
    """The labels of a campaign, by the rows of its pool.

    Args:
      entries: the events until now.
      ids: the ids of the examples.
      append: writes further events; without it, nothing can be recorded.

    Attributes:
      ids: see above.
      classes: the classes that labels can have.
      state: what the events amount to.
      audit: ids of the examples that are set apart, in the order of their draw.

    Raises:
      ValueError: if the events name an example that there is not.
    """

    def __init__(self, entries: Iterable[Entry], ids: Ids, append: Append | None = None) -> None:
        self._append = append
        self.ids = ids
        self.state = State(entries)
        created = self.state.created
        self.classes = Classes(created.num_classes, created.class_names)
        self.audit = ids.of(created.audit)
        self._in_audit = frozenset(self.audit)
        for i in (*self.state.labels, *self.state.skipped, *self.state.pending):
            if not ids.knows(i):
                raise ValueError(f"the log names the example {i!r}, which is not one of ids.json")

    def record(self, events: Iterable[Event]) -> None:
        """Writes events to disk, and then applies them."""
        if listed := [*events]:
            assert self._append is not None
            self.state.add(self._append(listed))

    def tell(self, ids: Any, labels: Any, by: str | None) -> None:
        """See ``Campaign.tell``."""
        given, named = as_ids(ids), self.classes.labels(labels)
        if len(given) != len(named):
            raise ValueError(f"got {len(given)} ids and {len(named)} labels")
        self.ids.check(given)
        _check_name(by)
        self.record(
            Labeled(i, label, by)
            for i, label in zip(given, named, strict=True)
            if not self._has(i, label)
        )

    def skip(self, ids: Any, by: str | None) -> None:
        """See ``Campaign.skip``."""
        given = as_ids(ids)
        self.ids.check(given)
        _check_name(by)
        if labeled := [i for i in given if i in self.state.labels]:
            raise ValueError(
                f"{len(labeled)} examples have a label, the first is {labeled[0]!r}: untell them "
                "before you skip them"
            )
        self.record(Skipped(i, by) for i in given if i not in self.state.skipped)

    def untell(self, ids: Any) -> None:
        """See ``Campaign.untell``."""
        given = as_ids(ids)
        self.ids.check(given)
        state = self.state
        if nothing := [i for i in given if i not in state.labels and i not in state.skipped]:
            raise ValueError(
                f"{len(nothing)} examples have neither a label nor a skip, the first is "
                f"{nothing[0]!r}"
            )
        self.record(Undone(i) for i in given)

    def training(self, before: int | None = None) -> dict[int, int]:
        """Returns the class of each labeled row outside of the audit, in order.

        Args:
          before: only labels of events before this number; ``None`` means all.
        """
        return {
            self.ids.row(i): self.classes.number(given.label)
            for i, given in self.state.labels.items()
            if i not in self._in_audit and (before is None or given.number < before)
        }

    def audited(self) -> dict[int, int]:
        """Returns the class of each labeled row of the audit, in the order of the draw."""
        labels = self.state.labels
        return {
            self.ids.row(i): self.classes.number(labels[i].label) for i in self.audit if i in labels
        }

    def closed(self, avoided: Collection[Id] = ()) -> set[int]:
        """Returns the rows that may not be proposed, although they are not for training.

        Args:
          avoided: ids that may not be, in addition.
        """
        rows = {
            *self.state.created.audit,
            *self.ids.rows(self.state.skipped).tolist(),
            *self.ids.rows(avoided).tolist(),
        }
        return rows - set(self.training())

    def next_audit(self, num: int, avoided: Collection[Id]) -> list[Id]:
        """Returns the next audit examples without a label.

        Raises:
          ValueError: if fewer are left.
        """
        answered = {*self.state.labels, *self.state.skipped, *avoided}
        left = [i for i in self.audit if i not in answered]
        if len(left) < num:
            raise ValueError(
                f"cannot add {num} audit examples: only {len(left)} of {len(self.audit)} are left"
            )
        return left[:num]

    def recorded(self, numbers: Any) -> list[Label]:
        """Returns class ids as they are recorded."""
        return self.classes.recorded(numbers)

    def _has(self, i: Id, label: Label) -> bool:
        given = self.state.labels.get(i)
        return given is not None and given.label == label


def _check_name(by: object) -> None:
    if by is not None and not isinstance(by, str):
        raise TypeError(f"by must be a name, got {by!r}")
