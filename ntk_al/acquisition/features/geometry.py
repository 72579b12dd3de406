"""Squared Euclidean distances, computed in tiles so that U × U of them are never stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ntk_al.types import ArrayLike

_TILE_ENTRIES = 2**22
_EQUAL = 1e-12


def normalized(features: ArrayLike) -> np.ndarray:
    """Scales rows to length one, in float64; a row of zeros stays zero."""
    features = np.asarray(features, np.float64)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norms > 0, norms, 1)


def squared_distances(points1: np.ndarray, points2: np.ndarray) -> np.ndarray:
    """Computes ‖x − x'‖² for points ``[N1, d]`` and ``[N2, d]``, as ``[N1, N2]``.

    The result is exactly zero for points that are equal up to the rounding of float32 features,
    because copies of an image must not differ just because of their positions in a batch.

    Examples:
      >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
      [[25.0, 0.0]]
    """
    return from_products(
        np.einsum("id,id->i", points1, points1)[:, None],
        np.einsum("id,id->i", points2, points2),
        points1 @ points2.T,
    )


def from_products(
    squared1: np.ndarray, squared2: np.ndarray | float, products: np.ndarray
) -> np.ndarray:
    """Computes ‖x‖² + ‖x'‖² − 2 ⟨x, x'⟩; exactly zero for points that are equal up to rounding."""
    norms = squared1 + squared2
    squared = norms - 2 * products
    squared[squared <= _EQUAL * norms] = 0
    return squared


def nearest(points: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each point's squared distance to its nearest center and that center, ``[N]`` each."""
    squared, index = np.empty(len(points)), np.empty(len(points), int)
    for rows in tiles(len(points), len(centers)):
        tile = squared_distances(points[rows], centers)
        index[rows] = tile.argmin(1)
        squared[rows] = tile.min(1)
    return squared, index


def tiles(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Yields consecutive row slices of a matrix such that each has a bounded number of entries."""
    step = max(1, _TILE_ENTRIES // max(1, num_columns))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def rounded(values: np.ndarray, scale: float | None = None) -> np.ndarray:
    """Divides values by the largest absolute value, or by ``scale``, and rounds to ten digits.

    Numbers that differ only because sums were computed in different orders become equal. They then
    tie, and the key breaks the tie.
    """
    if scale is None:
        scale = float(np.abs(values).max(initial=0.0))
    return np.round(values / scale, 10) if 0 < scale < np.inf else np.array(values)
