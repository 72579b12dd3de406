"""What people said: labels, skips and corrections, as a campaign records and returns them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ntk_al.labeling import cache
from ntk_al.labeling.events import Id, Label
from ntk_al.labeling.ledger import Ledger
from ntk_al.labeling.sources import Source
from ntk_al.labeling.state import Answer


class Answers:
    """The part of a campaign that needs no network.

    Args:
      source: the examples.
      ledger: what is known of them.
    """

    def __init__(self, source: Source, ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger

    def tell(self, ids: Any, labels: Any, *, by: str | None = None) -> None:
        """Records the labels of examples; on disk when this returns.

        A label that an example has already is not recorded again, and another one replaces it.

        Args:
          ids: an id, or several.
          labels: a class for each, by its number or its name.
          by: who labeled them.

        Raises:
          OSError: if they cannot be written; then none is recorded.
          TypeError: if an id or a class has the wrong type.
          ValueError: if an id or a class is unknown, an id occurs twice, or their numbers differ.
        """
        self._ledger.tell(ids, labels, by)

    def skip(self, ids: Any, *, by: str | None = None) -> None:
        """Records that examples are not to be labeled; they are not proposed again.

        Args:
          ids: an id, or several.
          by: who skipped them.

        Raises:
          ValueError: if an id is unknown, occurs twice, or has a label; ``untell`` it first.
        """
        self._ledger.skip(ids, by)

    def untell(self, ids: Any) -> None:
        """Takes back labels, or skips.

        Args:
          ids: an id, or several.

        Raises:
          ValueError: if an id is unknown, occurs twice, or has neither a label nor a skip.
        """
        self._ledger.untell(ids)

    def labeled(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns what is labeled, for training: inputs ``[L, ...]`` and class ids ``[L]``.

        They are in the order in which the labels were given. Audit examples are not among them.
        """
        return self._arrays(self._ledger.training())

    def audited(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the audit examples that have a label: inputs ``[M, ...]``, class ids ``[M]``."""
        return self._arrays(self._ledger.audited())

    @property
    def pending(self) -> list[Id]:
        """Ids that were proposed and have neither a label nor a skip, the latest last."""
        return list(self._ledger.state.pending)

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, in the order of their class ids, if they have any."""
        return self._ledger.classes.names

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return self._ledger.classes.num

    @property
    def labels(self) -> dict[Id, Label]:
        """Every label by id, those of the audit too, in the order they were given."""
        return {i: given.label for i, given in self._ledger.state.labels.items()}

    @property
    def answers(self) -> dict[Id, Answer]:
        """The same with who gave each label and when."""
        return dict(self._ledger.state.labels)

    @property
    def skipped(self) -> list[Id]:
        """Ids that are not to be labeled."""
        return list(self._ledger.state.skipped)

    @property
    def fingerprint(self) -> str:
        """A text by which programs tell this campaign from others, on every machine."""
        created = self._ledger.state
        return cache.digest(created.created, created.created_at)

    @property
    def first_id(self) -> Id:
        """The id of the first example of the pool."""
        return self._ledger.ids.of([0])[0]

    @property
    def audit(self) -> list[Id]:
        """Ids of the examples that are set apart to measure accuracy, in the order of the draw."""
        return list(self._ledger.audit)

    def id_of(self, text: str) -> Id:
        """Returns the id that a text stands for, such as an entry of a CSV file.

        Raises:
          ValueError: if it is that of no example, or of two.
        """
        return self._ledger.ids.of_text(text)

    def class_of(self, text: str) -> Label:
        """Returns the class that a text stands for: its name, or its number.

        Raises:
          ValueError: if it is no class.
        """
        return self._ledger.classes.of_text(text)

    def class_id(self, label: Label) -> int:
        """Returns the class id of a label, from 0."""
        return self._ledger.classes.number(label)

    def path(self, i: Id) -> str | None:
        """Returns the path of an image, or ``None`` if the pool is no folder of images.

        Raises:
          ValueError: if the id is unknown.
        """
        self._ledger.ids.check([i])
        path: Callable[[Id], str | None] | None = getattr(self._source, "path", None)
        return None if path is None else path(i)

    def prediction(self, i: Id) -> Label | None:
        """Returns the class that a network predicted when it proposed an example, if one did."""
        return self._ledger.state.predicted.get(i)

    def _arrays(self, labels: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if not labels:
            return self._source.take(np.arange(1))[:0], np.empty(0, np.int32)
        rows = np.array([*labels], np.int64)
        return self._source.take(rows), np.array([*labels.values()], np.int32)
