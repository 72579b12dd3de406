"""What all functions here ask of their arguments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ntk_al._utils import checks

_DECIMALS = 12


def finite(name: str, values: npt.ArrayLike) -> np.ndarray:
    """Returns the values in float64; raises ValueError if one of them is NaN or infinite."""
    array = np.asarray(values, np.float64)
    checks.finite(name, array, hint="Leave out the seeds without a result.")
    return array


def probability(name: str, value: float) -> None:
    """Raises ValueError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must be above 0 and below 1, got {value!r}")


def without_rounding_error(accuracy: np.ndarray) -> np.ndarray:
    """Rounds accuracies or their differences to 12 decimals, so that those that are equal tie.

    An accuracy is a multiple of one over the size of the test set, but 0.9 − 0.8 and 0.8 − 0.7
    differ in the last bit. Ranks, variances of zero and "reaches the accuracy" hang on ties.
    """
    return np.round(accuracy, _DECIMALS)
