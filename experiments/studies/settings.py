"""The settings of a study; commands make a flag of each."""

from __future__ import annotations

import dataclasses
from typing import Any

from ntk_al._utils import checks

from .activations import ACTIVATIONS


def _setting(default: Any, help: str) -> Any:
    """Makes a field of ``Settings`` from its default and its help text."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a study, apart from its widths and seeds; each is the flag of the same name.

    Raises:
      ValueError: if a number is out of range, or the activation is unknown.
    """

    activation: str = _setting("relu", f"The activation: {' | '.join(ACTIVATIONS)}.")
    depth: int = _setting(2, "The number of hidden layers.")
    num_labeled: int = _setting(40, "L, the number of labeled points without the candidate.")
    num_test: int = _setting(100, "T, the number of test points.")
    tolerance: float = _setting(
        1e-4, "Training ends when ‖f(X) − Y‖ is this share of what it was at initialization."
    )

    def __post_init__(self) -> None:
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.positive("depth", self.depth)
        checks.positive("num_labeled", self.num_labeled)
        checks.positive("num_test", self.num_test)
        checks.positive("tolerance", self.tolerance)
