"""How well chosen points cover all points, measured by a smooth kernel between features."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.features import geometry
from ntk_al.lookahead.greedy import best, greedy

_BLOCK = 32  # how many stale bounds are recomputed at a time


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
    """Repeatedly chooses the point that raises the weighted coverage most.

    The coverage Σ_x weight(x) max_{x'} k(x, x') / U is submodular, which means that the gain of
    adding a point never grows. A gain that was computed earlier is therefore an upper bound, and
    only bounds that could be the largest are recomputed (Minoux 1978). This avoids a U × U kernel.

    Args:
      features: ``[U, d]``.
      weights: nonnegative weights of the points to be covered, ``[U]``.
      to_labeled: squared distance of each point to the nearest labeled one, ``[U]``.
      radius: σ of the kernel exp(−‖x − x'‖² / σ²).
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

    Returns:
      The rows in order, ``[k]``, and the gain that each point would have had as the first choice,
      ``[U]``.
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
        """Returns the bounds after making sure that the largest one is an up-to-date gain."""
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
