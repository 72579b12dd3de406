"""``Definition``: what a ``Network`` needs to know about the library in which it is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

from ntk_al.types import Array, PyTree

Output = Callable[[Any], Array]
"""Picks the logits ``[N, C]`` from what a network returns."""


class Definition(Protocol):
    """The part of a network without arrays; hashable, and equal for equal architectures.

    ``params`` are differentiated, ``state`` is everything else that is an array, such as the
    running statistics of BatchNorm.
    """

    @property
    def name(self) -> str:
        """The name of the network in messages."""
        ...

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """Applies the network to inputs ``[N, ...]``, in inference mode."""
        ...

    def train(
        self, params: PyTree, state: PyTree, x: PyTree, key: Array, **arguments: Any
    ) -> tuple[Any, PyTree]:
        """Applies the network in training mode, and returns its output and the new state."""
        ...

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """Applies the network to one example ``[1, ...]`` in inference mode, but with dropout."""
        ...

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """Returns the rates of the dropout that ``sample`` switches on; ``x`` holds shapes."""
        ...


@dataclasses.dataclass(frozen=True)
class Shared:
    """Makes any value hashable, so that it can be a static part of a network.

    Values that cannot be hashed, like a module with a list of layers, are equal if they are the
    same object, or if they have the same type and equal fields. A deep copy of a network shares
    them.
    """

    value: Any

    def __deepcopy__(self, memo: Any) -> Shared:
        return self

    def __hash__(self) -> int:
        return hash(_key(self.value))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Shared):
            return NotImplemented
        return self.value is other.value or bool(_key(self.value) == _key(other.value))


def _key(value: Any) -> Any:
    """A hashable stand-in for a value: its own hash, its fields, or its identity."""
    try:
        hash(value)
    except TypeError:
        pass
    else:
        return value
    if isinstance(value, list | tuple):
        return (type(value), *map(_key, value))
    if isinstance(value, dict):
        return (dict, *((name, _key(entry)) for name, entry in value.items()))
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value) if f.name != "parent"]
        return (type(value), *(_key(getattr(value, name, None)) for name in fields))
    return (type(value), id(value))
