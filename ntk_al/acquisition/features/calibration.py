"""The temperature at which outputs are as confident as they are right, without held-out labels."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.features.probabilities import softmax
from ntk_al.types import ArrayLike

TEMPERATURES = np.logspace(-2, 2, 161)
"""Where the temperature is looked for; below one, as outputs trained by the squared loss need."""

NUM_BINS = 15
"""Bins of the calibration error."""


def temperature_of_features(features: ArrayLike, targets: ArrayLike, *, ridge: float) -> float:
    """The temperature of a linear head that never saw the point that it predicts.

    A network interpolates its labels and says nothing about its confidence elsewhere there. The
    last layer alone, refitted by ridge regression without one point, does, for every point in
    closed form. It is on the scale of outputs that were trained by the squared loss on the same
    targets. Its features have seen all labels, so that it remains an optimistic estimate.

    Args:
      features: inputs of the last layer at labeled points, ``[L, d]``.
      targets: ``[L, C]``.
      ridge: λ over the mean diagonal of the kernel of features.
    """
    outputs = leave_one_out(features, targets, ridge=ridge)
    return best_temperature(outputs, np.asarray(targets).argmax(1))


def leave_one_out(features: ArrayLike, targets: ArrayLike, *, ridge: float) -> np.ndarray:
    """Ridge regression with a constant, each point predicted without itself, ``[L, C]``.

    y − (y − Hy) / (1 − diag H) with H = K (K + λI)⁻¹ (Allen 1974), by a decomposition of the
    smaller side.
    """
    x = np.asarray(features, np.float64)
    x, y = np.concatenate([x, np.ones((len(x), 1))], axis=1), np.asarray(targets, np.float64)
    noise = ridge * np.square(x).sum(1).mean()
    basis, singular, _ = np.linalg.svd(x, full_matrices=False)
    # I − H, whose diagonal is too small for a subtraction from one where H nearly interpolates.
    shrinkage = noise / (np.square(singular) + noise) if noise > 0 else np.zeros_like(singular)
    outside = y - basis @ (basis.T @ y)
    residual = outside + basis @ (shrinkage[:, None] * (basis.T @ y))
    outside_diagonal = np.maximum(1 - np.square(basis).sum(1), 0)
    leverage = outside_diagonal + np.square(basis) @ shrinkage
    return y - residual / np.maximum(leverage, np.finfo(float).eps)[:, None]


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least calibration error, ``[L, C]`` and ``[L]`` to a number.

    L points cannot tell differences of 1 / L: among the temperatures whose error is that near to
    the least one, the nearest to one is taken. If all points are right, the least error would be at
    the lowest temperature, and nothing uncertain there.
    """
    errors = np.array([calibration_error(logits / t, labels) for t in TEMPERATURES])
    distance = np.abs(np.log(TEMPERATURES))
    distance[errors > errors.min() + 1 / len(labels)] = np.inf
    return float(TEMPERATURES[distance.argmin()])


def calibration_error(logits: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, Eq. 3).

    Points are put into equal bins (lower, upper] of their confidence, the largest softmax; the
    error is the mean over points of |accuracy − mean confidence| of their bin.
    """
    confidence = softmax(logits).max(1)
    surplus = (logits.argmax(1) == labels) - confidence
    bins = np.ceil(confidence * num_bins).astype(int)
    return float(np.abs(np.bincount(bins, surplus)).sum() / len(labels))
