"""The output of a strategy."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Selection:
    """The output of a strategy.

    Attributes:
      ids: ids of the chosen candidates, best first, ``[k]``.
      utilities: utility of every candidate, ``[U]``, higher = query first; −inf for a candidate
        that may not be queried.
      diagnostics: numbers worth recording, such as the ridge that was used.
    """

    ids: np.ndarray
    utilities: np.ndarray
    diagnostics: dict[str, float] = dataclasses.field(default_factory=dict)
