"""The area under a budget curve, which sums up a run in one number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import arguments


def area_under_curve(num_labeled: npt.ArrayLike, accuracy: npt.ArrayLike) -> np.ndarray:
    """The area under accuracy against the number of labels, divided by the range of labels.

    So it is in units of accuracy: the mean accuracy over the range of budgets, with straight lines
    between the measured ones (the trapezoidal rule). Zhan et al. (IJCAI 2021) call it AUBC.

    Args:
      num_labeled: numbers of labels, ascending, ``[T]``, at least two.
      accuracy: accuracy at each of them, ``[..., T]``, usually ``[S, T]``.

    Returns:
      The areas, ``[...]``.

    Raises:
      ValueError: if there are fewer than two numbers of labels, they do not ascend, shapes do not
        match, or a value is not finite.

    Examples:
      >>> print(area_under_curve([10, 20, 40], [[0.5, 0.7, 0.9]]))
      [0.73333333]
    """
    num_labeled = arguments.finite("num_labeled", num_labeled)
    accuracy = arguments.finite("accuracy", accuracy)
    if num_labeled.ndim != 1 or num_labeled.size < 2 or (np.diff(num_labeled) <= 0).any():
        raise ValueError(
            "an area needs at least two numbers of labels, ascending; got num_labeled="
            f"{num_labeled.tolist()}"
        )
    if accuracy.shape[-1:] != num_labeled.shape:
        raise ValueError(
            f"accuracy must have {num_labeled.size} columns, one a number of labels, got shape "
            f"{accuracy.shape}"
        )
    width = num_labeled[-1] - num_labeled[0]
    return np.trapezoid(accuracy, num_labeled, axis=-1) / width
