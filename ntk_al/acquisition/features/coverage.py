"""How well chosen points cover all points, by a smooth kernel between features."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.greedy import best, greedy

_BLOCK = 32  # stale bounds that are computed again at a time


def greedy_coverage(
    features: np.ndarray,
    weights: np.ndarray,
    to_labeled: np.ndarray,
    *,
    radius: float,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One after the other, the point that raises the weighted coverage most.

    The coverage Σ_x weight(x) max_{x'} k(x, x') / U is submodular: what a point would add never
    grows. A gain that was computed earlier is therefore an upper bound, and only bounds that could
    be the largest are computed again (Minoux 1978), without a kernel of U × U.

    Args:
      features: ``[U, d]``.
      weights: of the points to be covered, at least 0, ``[U]``.
      to_labeled: squared distance to the nearest labeled point, ``[U]``.
      radius: σ of the kernel exp(−‖x − x'‖² / σ²).
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows in order ``[k]``, and how much each would have added first, ``[U]``.
    """
    coverage = np.exp(-to_labeled / radius**2)

    def kernel(rows: np.ndarray) -> np.ndarray:
        return np.exp(-geometry.squared_distances(features[rows], features) / radius**2)

    def gains(rows: np.ndarray) -> np.ndarray:
        result = np.empty(len(rows))
        for part in geometry.tiles(len(rows), len(features)):
            result[part] = np.maximum(kernel(rows[part]) - coverage, 0) @ weights
        return result / len(features)

    utilities = gains(np.arange(len(features)))
    scale = float(utilities.max())
    bounds = geometry.rounded(utilities, scale)
    stale = np.zeros(len(features), bool)

    def values(allowed: np.ndarray) -> np.ndarray:
        """The bounds, the largest of which is a gain that was computed since the last choice."""
        while stale[row := best(bounds, allowed, tie_breaks)]:
            largest = np.flatnonzero(stale & allowed)
            largest = largest[np.argsort(-bounds[largest])[:_BLOCK]]
            block = np.append(largest, row)
            bounds[block] = geometry.rounded(gains(block), scale)
            stale[block] = False
        return bounds

    def add(row: int) -> None:
        nonlocal coverage
        coverage = np.maximum(coverage, kernel(np.array([row]))[0])
        stale[:] = bounds > 0

    rows = greedy(k, values, add, available=available, tie_breaks=tie_breaks)
    return rows, utilities
