"""Calibration without held-out labels: a temperature that makes confidence match accuracy."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.features.probabilities import softmax
from ntk_al.types import ArrayLike

TEMPERATURES = np.logspace(-2, 2, 161)
"""The temperatures that are tried. Outputs trained with the squared loss need some below one."""

NUM_BINS = 15
"""The number of bins of the calibration error."""


def temperature_of_features(features: ArrayLike, targets: ArrayLike, *, ridge: float) -> float:
    """Finds the temperature of a linear head that has not seen the point that it predicts.

    A network interpolates its labels, so its outputs at labeled points say nothing about its
    confidence elsewhere. Instead, the last layer is refitted by ridge regression with one point
    left out, which has a closed form for every point. These predictions have the scale of outputs
    that were trained with the squared loss on the same targets. The estimate remains optimistic,
    because the features were trained on all labels.

    Args:
      features: inputs of the last layer at labeled points, ``[L, d]``.
      targets: ``[L, C]``.
      ridge: λ divided by the mean diagonal of the kernel of the features.

    Returns:
      One of ``TEMPERATURES``.
    """
    outputs = leave_one_out(features, targets, ridge=ridge)
    return best_temperature(outputs, np.asarray(targets).argmax(1))


def leave_one_out(features: ArrayLike, targets: ArrayLike, *, ridge: float) -> np.ndarray:
    """Predicts each point by ridge regression, with a constant feature, on all other points.

    The predictions are y − (y − Hy) / (1 − diag H) with H = K (K + λI)⁻¹ (Allen 1974). They are
    computed from a thin singular value decomposition of the features.

    Args:
      features: ``[L, d]``.
      targets: y, ``[L, C]``.
      ridge: λ divided by the mean diagonal of the kernel of the features.

    Returns:
      ``[L, C]``.

    Example:
      With one useless feature and a tiny ridge, each prediction is the mean of the other targets.

      >>> leave_one_out(np.zeros((3, 1)), np.eye(3)[:, :1], ridge=1e-9).round(3).tolist()
      [[0.0], [0.5], [0.5]]
    """
    x = np.asarray(features, np.float64)
    x, y = np.concatenate([x, np.ones((len(x), 1))], axis=1), np.asarray(targets, np.float64)
    noise = ridge * np.square(x).sum(1).mean()
    basis, singular, _ = np.linalg.svd(x, full_matrices=False)
    # Computes I − H directly: if H nearly interpolates, 1 − diag H would lose all digits.
    shrinkage = noise / (np.square(singular) + noise) if noise > 0 else np.zeros_like(singular)
    outside = y - basis @ (basis.T @ y)
    residual = outside + basis @ (shrinkage[:, None] * (basis.T @ y))
    outside_diagonal = np.maximum(1 - np.square(basis).sum(1), 0)
    leverage = outside_diagonal + np.square(basis) @ shrinkage
    return y - residual / np.maximum(leverage, np.finfo(float).eps)[:, None]


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Finds the temperature with the smallest calibration error.

    L points cannot resolve differences below 1 / L. Among the temperatures whose error is within
    1 / L of the smallest error, the one closest to one (on a log scale) is returned. Without this
    rule, if all points are predicted correctly, the lowest temperature would win, and no point
    would be uncertain.

    Args:
      logits: ``[L, C]``.
      labels: class ids, ``[L]``.

    Returns:
      One of ``TEMPERATURES``.
    """
    errors = np.array([calibration_error(logits / t, labels) for t in TEMPERATURES])
    distance = np.abs(np.log(TEMPERATURES))
    distance[errors > errors.min() + 1 / len(labels)] = np.inf
    return float(TEMPERATURES[distance.argmin()])


def calibration_error(logits: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, Eq. 3).

    The confidence of a point is its largest softmax probability. Points are sorted into bins
    (lower, upper] of equal width in confidence. The error is the mean over all points of
    |accuracy − mean confidence| in their bin.

    Args:
      logits: ``[L, C]``.
      labels: class ids, ``[L]``.
      num_bins: the number of bins.

    Example:
      >>> calibration_error(np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([0, 1]))
      0.0
    """
    confidence = softmax(logits).max(1)
    surplus = (logits.argmax(1) == labels) - confidence
    bins = np.ceil(confidence * num_bins).astype(int)
    return float(np.abs(np.bincount(bins, surplus)).sum() / len(labels))
