"""Results that are computed once for a query and shared by all its candidate sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
L = TypeVar("L", bound=Hashable)


class Memo:
    """Remembers the results of functions of one subject; each is computed on first use.

    The subject is the query before any of its labels was revealed, so no result can depend on such
    a label.
    """

    def __init__(self, subject: Any) -> None:
        self._subject = subject
        self._results: dict[tuple[Hashable, ...], Any] = {}
        self._latest: dict[Hashable, tuple[tuple[Hashable, ...], Any]] = {}

    def once(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """Returns ``function(subject, *arguments)``, computed on first use."""
        key = (function, *arguments)
        if key not in self._results:
            self._results[key] = function(self._subject, *arguments)
        result: T = self._results[key]
        return result

    def knows(self, function: Callable[..., Any], *arguments: Hashable) -> bool:
        """Returns whether ``once`` has computed this result already."""
        return (function, *arguments) in self._results

    def remember(self, result: T, function: Callable[..., T], *arguments: Hashable) -> None:
        """Sets what ``once`` returns."""
        self._results[(function, *arguments)] = result
        self._latest.pop(function, None)

    def absorbed(
        self,
        start: Callable[..., T],
        labels: tuple[L, ...],
        absorb: Callable[[T, tuple[L, ...]], T],
    ) -> T:
        """Returns ``start(subject)`` after it has absorbed labels, one after another.

        If ``labels`` extends those of the last call, only the new ones are absorbed.

        Args:
          start: maps the subject to the state before any label.
          labels: in the order in which they were revealed.
          absorb: maps a state and further labels to the next state.
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
