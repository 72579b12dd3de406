"""The temperature at which the softmax of a network's outputs says how often it is right.

Outputs that were trained with the squared loss on one-hot targets lie near 0 and 1, so their
softmax is nearly uniform. A temperature T well below one is needed, and two sources say which:

- A regression on one-hot targets estimates the class probabilities, so the mean of max_c f_c(x)
  over unlabeled points estimates the accuracy. T_pool is the temperature at which the mean
  confidence is that number. It needs no label, but outputs that are shrunk (by augmentation or
  weight decay) make it too high.
- The likelihood of held-out labels. Each labeled point is predicted by a refitted last layer that
  has not seen its label. The features have seen it, so this is too optimistic where they memorize.

T maximizes the likelihood times a log-normal prior around T_pool. The benchmark ``calibration``
compares this with each source alone, with fixed temperatures and with the best one.

Outputs of a network that was trained with cross-entropy are log-probabilities up to a constant and
need no temperature. They are told apart by their size: of the outputs at a labeled point that were
trained on one-hot targets, the largest is about one.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import array_library, checks
from ntk_al.network.features import LackingError, check_last_features, last_features
from ntk_al.network.network import Network
from ntk_al.network.predictive import Predictive
from ntk_al.types import Array, ArrayLike, PyTree

BOUNDS = (0.01, 10.0)
"""The smallest and the largest temperature."""

PRIOR_SPREAD = 0.15
"""The standard deviation of log T in the prior around T_pool."""

LARGEST_REGRESSION = 1.5
"""If max_c f_c(x) is larger on average over labeled points, or is not positive, the outputs are
log-probabilities up to a constant."""

_TEMPERATURES = np.geomspace(*BOUNDS, 121)
_BISECTIONS = 30  # of a log interval of length 7: more digits than float32 has
_RIDGE = 1e-4  # of the kernel of the last layer's features; the look-ahead has its own


def calibrated(
    network: Network,
    x_labeled: PyTree,
    targets: ArrayLike,
    labeled_outputs: ArrayLike,
    outputs: ArrayLike,
) -> Predictive:
    """Fits the temperature of a trained network.

    A network without a linear last layer has no features to refit, so T is T_pool. Works under
    ``jax.jit``.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      targets: their targets, ``[L, C]``; the largest entry marks the class.
      labeled_outputs: the outputs of the network at the labeled inputs, ``[L, C]``.
      outputs: its outputs at unlabeled points, ``[U, C]``.

    Returns:
      The predictive distribution softmax(f / T), with T = 1 if the network was not trained on
      one-hot targets with the squared loss.
    """
    features = None
    try:
        check_last_features(network, x_labeled)
        features = last_features(network, x_labeled)
    except LackingError:
        pass
    known = _in_one_library(labeled_outputs, outputs, targets, features)
    labeled_outputs, outputs, targets, features = known
    xp = array_library.of(outputs)
    temperature = temperature_of_pool(outputs)
    if features is not None:
        held_out = leave_one_out(features, targets)
        temperature = fit_temperature(held_out, targets.argmax(1), temperature)
    largest = labeled_outputs.max(1).mean()
    is_regression = (largest > 0) & (largest <= LARGEST_REGRESSION)
    return Predictive(xp.where(is_regression, temperature, 1.0))


def temperature_of_pool(outputs: ArrayLike) -> Array:
    """Finds the temperature at which the mean confidence is the mean of max_c f_c(x).

    Args:
      outputs: f at U unlabeled points, ``[U, C]``.

    Returns:
      A scalar within ``BOUNDS``.

    Examples:
      >>> round(float(temperature_of_pool(np.array([[0.8, 0.2]]))), 2)  # 1 / (1 + e^{-0.6/T}) = 3/4
      0.55
    """
    xp = array_library.of(outputs)
    num, num_classes = outputs.shape
    # With U points, nobody can tell a smaller share of errors than about 1 / (2 U) from none.
    expected = xp.clip(outputs.max(1).mean(), 1 / num_classes, 1 - 0.5 / (num + 1))
    low, high = (xp.asarray(np.log(bound), outputs.dtype) for bound in BOUNDS)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        predictive = Predictive(xp.exp(middle))
        too_sure = predictive.probabilities(outputs).max(1).mean() > expected
        low, high = xp.where(too_sure, middle, low), xp.where(too_sure, high, middle)
    return xp.exp((low + high) / 2)


def fit_temperature(held_out: ArrayLike, labels: ArrayLike, center: ArrayLike) -> Array:
    """Finds the temperature that maximizes the likelihood of held-out labels times the prior.

    Args:
      held_out: outputs at L points by models that have not seen their labels, ``[L, C]``.
      labels: their class ids, ``[L]``.
      center: T_pool, the median of the prior.

    Returns:
      A scalar within ``BOUNDS``.
    """
    xp = array_library.of(held_out)
    of_label = xp.take_along_axis(held_out, labels[:, None], axis=1)[:, 0]
    shifted = held_out - held_out.max(1, keepdims=True)
    of_label = of_label - held_out.max(1)

    def loss(temperature: float) -> Array:
        """−log likelihood − log prior."""
        log_likelihood = of_label / temperature - xp.log(xp.exp(shifted / temperature).sum(1))
        away = (xp.log(xp.asarray(temperature, held_out.dtype)) - xp.log(center)) / PRIOR_SPREAD
        return 0.5 * away**2 - log_likelihood.sum()

    losses = xp.stack([loss(float(t)) for t in _TEMPERATURES])
    return xp.asarray(_TEMPERATURES, held_out.dtype)[losses.argmin()]


def leave_one_out(features: ArrayLike, targets: ArrayLike, *, ridge: float = _RIDGE) -> Array:
    """Predicts each point by ridge regression, with a constant feature, on all other points.

    The predictions are y − (y − Hy) / (1 − diag H) with H = K (K + λI)⁻¹ (Allen 1974). They are
    computed from a thin singular value decomposition of the features.

    Args:
      features: ``[L, d]``. The constant feature is as long as they are on average.
      targets: y, ``[L, C]``.
      ridge: λ divided by the mean squared length of the features.

    Returns:
      ``[L, C]``.

    Examples:
      With one useless feature and a tiny ridge, each prediction is the mean of the other targets.

      >>> leave_one_out(np.zeros((3, 1)), np.eye(3)[:, :1], ridge=1e-9).round(3).tolist()
      [[0.0], [0.5], [0.5]]
    """
    xp = array_library.of(features)
    scale = xp.square(features).sum(1).mean()
    scale = xp.where(scale > 0, scale, 1)
    constant = xp.broadcast_to(xp.sqrt(scale), (len(features), 1))
    x, noise = xp.concatenate([features, constant], axis=1), ridge * scale
    basis, singular, _ = xp.linalg.svd(x, full_matrices=False)
    # Computes I − H directly: if H nearly interpolates, 1 − diag H would lose all digits.
    tiny = xp.finfo(features.dtype).tiny
    shrinkage = noise / xp.maximum(xp.square(singular) + noise, tiny)
    inside = basis.T @ targets
    residual = targets - basis @ inside + basis @ (shrinkage[:, None] * inside)
    outside = xp.maximum(1 - xp.square(basis).sum(1), 0)
    leverage = outside + xp.square(basis) @ shrinkage
    return targets - residual / xp.maximum(leverage, xp.finfo(features.dtype).eps)[:, None]


def _in_one_library(*values: ArrayLike | None) -> Any:
    """Copies values to the host in float64, where nothing is compiled, unless one is traced."""
    traced = checks.is_traced(values)

    def moved(value: ArrayLike) -> ArrayLike:
        if not traced:
            return np.asarray(value, np.float64)
        return jnp.asarray(value, jnp.result_type(float))

    return jax.tree.map(moved, values)
