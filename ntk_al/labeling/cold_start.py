"""The first examples to label, before there is a network: typical and diverse ones."""

from __future__ import annotations

import numpy as np

from ntk_al._utils import extras
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.strategies.typiclust import MOST_CLUSTERS, most_typical

MOST_POINTS = 10_000
"""Of more examples than that, a random sample is clustered."""

_MOST_DIMENSIONS = 50


def choose(
    rng: np.random.Generator, points: np.ndarray, labeled: np.ndarray, available: np.ndarray, k: int
) -> np.ndarray:
    """Chooses typical points of different clusters (TypiClust, arXiv:2202.02794).

    Clusters without a label come first, and among these the largest ones.

    Args:
      rng: breaks ties.
      points: from ``of_inputs`` or ``of_features``, ``[N, d]``.
      labeled: a mask of the points that have a label, ``[N]``.
      available: a mask of the points that may be chosen, ``[N]``.
      k: how many to choose, at most as many as are available.

    Returns:
      Rows, ``[k]``.

    Raises:
      MissingExtraError: if scikit-learn is not installed.
    """
    num = min(int(labeled.sum()) + k, MOST_CLUSTERS, len(points))
    clusters = clustering.k_means(points, num)
    rows, _ = most_typical(
        points,
        clusters,
        clusters[labeled],
        clusters,
        available=available,
        k=k,
        tie_breaks=rng.random(len(points)),
    )
    return rows


def of_inputs(x: np.ndarray) -> np.ndarray:
    """Makes points of raw inputs ``[N, ...]``: standardized, then their principal components."""
    points = np.asarray(x, np.float64).reshape(len(x), -1)
    spread = points.std(0)
    points = (points - points.mean(0)) / np.where(spread > 0, spread, 1)
    most = min(_MOST_DIMENSIONS, len(points))
    if points.shape[1] <= most:
        return points
    with extras.needed("principal components need", "scikit-learn", extra="labeling"):
        from sklearn.decomposition import PCA

    return np.asarray(PCA(most, svd_solver="randomized", random_state=0).fit_transform(points))


def of_features(features: np.ndarray) -> np.ndarray:
    """Makes points of features ``[N, d]`` that were learned: scaled to length one."""
    return geometry.normalized(features)
