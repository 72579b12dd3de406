"""The ridge: a number, or what the labels themselves say of their noise.

λ is the variance of the noise in a label. With hardly any, w(x, j) = S(x, x_j) / (S_jj + λ) does
not depend on how much is still unknown at x_j: where classes overlap, a label that contradicts its
neighbours counts as much as one in a region without labels, and look-ahead spends its labels there.
Leaving each label out and predicting it from the others shows whether labels are noisy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, examples
from ntk_al.types import ArrayLike, PyTree

PAPER = 1e-4
"""Next to none, as in the paper: the default of scores, of posteriors and of strategies.

A ridge is λ divided by the mean of diag Θ(L, L).
"""

RECOMMENDED = 0.1
"""The default of what people label by: tuned on two datasets and confirmed on four."""

LEAVE_ONE_OUT = "leave_one_out"
"""The value of ``ridge`` that lets the labels choose it."""

CANDIDATES = 10.0 ** np.arange(-4, 0.1, 0.5)
"""The ridges among which they choose."""

MOST_LABELS = 2000
"""Of more labels, or of more outputs in the kernel of all logits, that many are drawn."""

_ROUNDING = 1e-6  # of targets in float32


def drawn(num_labels: int, size: int = 1) -> np.ndarray:
    """Returns the rows of the labels that choose.

    Args:
      num_labels: L.
      size: how many rows of the kernel are of one label.
    """
    most = max(MOST_LABELS // size, 2)
    if num_labels <= most:
        return np.arange(num_labels)
    return np.sort(np.random.default_rng(0).choice(num_labels, most, replace=False))


def resolved(
    ridge: float | str,
    labeled: ArrayLike,
    targets: ArrayLike,
    x_labeled: PyTree,
    *,
    is_full: bool = False,
) -> float:
    """Returns the ridge as a number.

    Args:
      ridge: a number, which is returned, or ``LEAVE_ONE_OUT``.
      labeled: Θ(L, L), ``[L, L]``; more rows and columns are padding.
      targets: Y, ``[L, C]``.
      x_labeled: the labeled inputs, ``[L, ...]``. Copies with the same label are left out together,
        as each would predict the other; under ``jax.jit`` they are not known.
      is_full: whether ``labeled`` is the kernel of all logits, ``[LC, LC]``.
    """
    if not isinstance(ridge, str):
        return ridge
    if not checks.is_traced(labeled, targets):  # slices of device arrays compile for every length
        labeled, targets = np.asarray(labeled), np.asarray(targets)
    num, num_outputs = targets.shape
    size = num_outputs if is_full else 1
    rows = drawn(num, size)
    if len(rows) < num:
        x_labeled = examples.take(x_labeled, rows)
        columns = (size * rows[:, None] + np.arange(size)).ravel()
        labeled, targets = labeled[columns][:, columns], targets[rows]
    is_known = not checks.is_traced(labeled, targets, x_labeled)
    copies = _copies(x_labeled, np.asarray(targets)) if is_known else []
    centered = _centered(targets)
    if is_full:
        centered = centered.reshape(-1, 1)
    return leave_one_out(labeled[: len(centered), : len(centered)], centered, size, copies)


def leave_one_out(
    kernel: ArrayLike, targets: ArrayLike, size: int = 1, together: Sequence[np.ndarray] = ()
) -> float:
    """Returns the ridge with which kernel regression on all other labels predicts each label best.

    The error at label i is [A⁻¹]_ii⁻¹ [A⁻¹Y]_i (Rasmussen and Williams 2006, Eq. 5.12), for every
    candidate from one eigendecomposition. With the kernel of all logits, the outputs of a label are
    left out together, and [A⁻¹]_ii is their block.

    Args:
      kernel: ``[L, L]``, or ``[L size, L size]``.
      targets: Y, centered, ``[L, C]``, or ``[L size, C]``.
      size: how many neighbouring rows are of one label.
      together: groups of labels that are left out together; none under ``jax.jit``.

    Examples:
      Two equal points with unequal labels are as noisy as can be; with equal labels they are not.

      >>> float(leave_one_out(np.ones((2, 2)), np.array([[1.0], [-1.0]])))
      1.0
      >>> float(leave_one_out(np.ones((2, 2)), np.array([[1.0], [1.0]])))
      0.0001
    """
    xp: Any = jnp
    if not checks.is_traced(kernel, targets):  # on the host, nothing is compiled
        xp, kernel, targets = np, np.asarray(kernel, np.float64), np.asarray(targets, np.float64)
    scale = xp.diagonal(kernel).mean()
    values, vectors = xp.linalg.eigh((kernel + kernel.T) / 2)
    rotated = vectors.T @ targets
    of_labels = vectors.reshape(-1, size, len(kernel))
    tiny = xp.finfo(kernel.dtype).tiny

    def error(ridge: float) -> Any:
        inverse = 1 / xp.maximum(xp.maximum(values, 0) + ridge * scale, tiny)
        solved = (vectors @ (inverse[:, None] * rotated)).reshape(-1, size, targets.shape[1])
        if size == 1:
            own = xp.square(vectors) @ inverse
            squared = xp.square(solved / xp.maximum(own, tiny)[:, None, None])
        else:
            own = (of_labels * inverse) @ xp.swapaxes(of_labels, 1, 2)
            squared = xp.square(xp.linalg.solve(own, solved))
        for rows in together:
            among = of_labels[rows].reshape(-1, len(kernel))
            left_out = np.linalg.solve((among * inverse) @ among.T, np.concatenate(solved[rows]))
            squared[rows] = np.square(left_out).reshape(squared[rows].shape)
        return squared.mean()

    errors = xp.stack([error(float(ridge)) for ridge in CANDIDATES])
    chosen: float = xp.asarray(CANDIDATES, kernel.dtype)[errors.argmin()]
    return chosen


def _copies(x_labeled: PyTree, targets: np.ndarray) -> list[np.ndarray]:
    """Finds the labels, two or more at a time, that are the same label of the same example."""
    same_label = np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)
    pairs = np.stack([examples.numbered(x_labeled), same_label])
    group = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
    found, sizes = np.unique(group, return_counts=True)
    return [np.flatnonzero(group == number) for number in found[sizes > 1]]


def _centered(targets: ArrayLike) -> Any:
    """Returns targets less their mean; those that are all equal are zero without rounding errors.

    Else these would choose the ridge.
    """
    xp: Any = jnp
    if not checks.is_traced(targets):
        xp, targets = np, np.asarray(targets, np.float64)
    centered = targets - targets.mean(0)
    is_constant = xp.abs(centered).max(0) <= _ROUNDING * xp.abs(targets).max(0)
    return xp.where(is_constant, 0, centered)
