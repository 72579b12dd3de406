"""The classes of a campaign, which have numbers from 0 and may have names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ntk_al.labeling.events import Label


class Classes:
    """The classes that labels can have.

    Args:
      num: C, at least 2.
      names: their names, in the order of their numbers, or ``None``.
    """

    def __init__(self, num: int, names: list[str] | None) -> None:
        self.num = num
        self.names = names
        self._numbers = {name: number for number, name in enumerate(names or ())}

    @classmethod
    def of(cls, num_classes: int | None, class_names: Sequence[str] | None) -> Classes:
        """Makes the classes from what a user says, of which exactly one must be given.

        Raises:
          TypeError: if the names are not strings, or the number is not an integer.
          ValueError: if both or none is given, there are fewer than two, or names are equal.
        """
        if (num_classes is None) == (class_names is None):
            raise ValueError("pass either num_classes or class_names")
        if class_names is None:
            if not _is_whole(num_classes):
                raise TypeError(f"num_classes must be a whole number, got {num_classes!r}")
            names, num = None, int(num_classes)  # type: ignore[arg-type]
        else:
            if isinstance(class_names, str) or not all(isinstance(n, str) for n in class_names):
                raise TypeError(f"class_names must be a list of strings, got {class_names!r}")
            names = [str(name) for name in class_names]
            num = len(names)
            if len(set(names)) != num:
                raise ValueError(f"the names of classes must be different, got {names}")
        if num < 2:
            raise ValueError(f"there must be at least two classes, got {num}")
        return cls(num, names)

    def labels(self, labels: Any) -> list[Label]:
        """Returns one label, or several, as they are recorded: by name if classes have names.

        Raises:
          TypeError: if a label is neither a class id nor a name.
          ValueError: if it is not that of a class.
        """
        single = isinstance(labels, str | int | np.integer) or np.ndim(labels) == 0
        return [self._label(label) for label in ([labels] if single else labels)]

    def of_text(self, text: str) -> Label:
        """Returns the class that a text stands for: its name, or its number if no name is one.

        Capitals matter only where names differ in nothing else.

        Raises:
          ValueError: if it is no class.
        """
        number = re.fullmatch(r"(\d+)(\.0+)?", text)  # spreadsheets like to write 3.0
        # Where a name looks like a number, a number in a text can only be meant as a name.
        is_name = text in self._numbers or any(name.isdecimal() for name in self._numbers)
        alike = [name for name in self._numbers if name.casefold() == text.casefold()]
        if text not in self._numbers and len(alike) == 1:
            return alike[0]
        return self.labels(int(number[1]) if number and not is_name else text)[0]

    def number(self, label: Label) -> int:
        """Returns the class id of a recorded label."""
        return self._numbers[label] if isinstance(label, str) else label

    def recorded(self, numbers: Iterable[int] | np.ndarray) -> list[Label]:
        """Returns class ids as they are recorded."""
        return [int(i) if self.names is None else self.names[i] for i in numbers]

    def _label(self, label: Any) -> Label:
        if isinstance(label, np.ndarray) and label.ndim == 0:
            label = label.item()
        if isinstance(label, str):
            if label not in self._numbers:
                known = self._shown() if self.names is None else ", ".join(self.names)
                raise ValueError(f"{label!r} is no class: they are {known}")
            return str(label)
        if not _is_whole(label):
            raise TypeError(f"labels must be class ids or names of classes, got {label!r}")
        if not 0 <= label < self.num:
            raise ValueError(f"{int(label)} is no class: they are {self._shown()}")
        return self.recorded([int(label)])[0]

    def _shown(self) -> str:
        numbers = f"the numbers 0 to {self.num - 1}"
        return numbers if self.names is None else f"{', '.join(self.names)}, or {numbers}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
