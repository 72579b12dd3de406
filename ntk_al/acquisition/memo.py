"""What was computed once for a query, shared by all sets of its candidates."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Results of functions of one subject, each computed when it is first asked for.

    The subject is the query as it was before any label of it was revealed, so that no result can
    depend on such a label.
    """

    def __init__(self, subject: Any) -> None:
        self._subject = subject
        self._results: dict[tuple[Hashable, ...], Any] = {}
        self._latest: dict[Hashable, tuple[tuple[tuple[int, int], ...], Any]] = {}

    def once(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """``function(subject, *arguments)``, computed when it is first asked for."""
        key = (function, *arguments)
        if key not in self._results:
            self._results[key] = function(self._subject, *arguments)
        result: T = self._results[key]
        return result

    def absorbed(
        self,
        start: Callable[..., T],
        labels: tuple[tuple[int, int], ...],
        absorb: Callable[[T, tuple[tuple[int, int], ...]], T],
    ) -> T:
        """``start(subject)`` after labels were absorbed, each of them only once as they grow.

        Args:
          start: what is known before any label.
          labels: rows and class ids, in the order in which they were revealed.
          absorb: what is known, and further labels, to what is known then.
        """
        before = self.once(start)
        if not labels:
            return before
        seen, known = self._latest.get(start, ((), before))
        if labels[: len(seen)] != seen:
            seen, known = (), before
        if labels[len(seen) :]:
            known = absorb(known, labels[len(seen) :])
            self._latest[start] = (labels, known)
        return known
