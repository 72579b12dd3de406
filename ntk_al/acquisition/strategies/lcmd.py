"""LCMD: the farthest point of the largest cluster around labels, in the space of gradients."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.greedy import greedy
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead import ALL_LOGITS
from ntk_al.types import Array, ArrayLike

SKETCH_SIZE = 512
"""Length of the sketched gradients, as in the paper."""

_PROJECTION_SEED = 0


def lcmd(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """LCMD-TP on sketched gradients (Holzmüller et al. 2023, JMLR 24(164), arXiv:2203.09410).

    Largest cluster maximum distance in its mode TP: labeled points are centers of clusters, too.
    The kernel is that of ∂g/∂θ over all parameters, randomly projected to 512 numbers, the one that
    they recommend for it. They study regression, where the network has one output; here g is the
    scalar read-out of the look-ahead strategies, Σ_c f_c / √C where ``options.readout`` is
    "all_logits". The projection is the same for every key, so that calls can share the sketches.
    """
    sketches, start = candidates.once(_sketched)
    for row in candidates.observed_rows:
        start = start.joined(sketches, row)
    rows, utilities = largest_cluster_farthest(
        sketches,
        start,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, utilities)


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Points in the clusters of their nearest centers.

    Attributes:
      squared: squared distance to the nearest center, ``[U]``.
      center: number of that center, ``[U]``; the first where several are as near.
      num_centers: how many there are.
    """

    squared: np.ndarray
    center: np.ndarray
    num_centers: int

    @classmethod
    def around(cls, points: np.ndarray, centers: np.ndarray) -> Clusters:
        """Clusters of points ``[U, m]`` around centers ``[L, m]``."""
        return cls(*geometry.nearest(points, centers), len(centers))

    def joined(self, points: np.ndarray, row: int) -> Clusters:
        """The clusters once one of the points is a center."""
        squared = geometry.squared_distances(points, points[row : row + 1])[:, 0]
        nearer = squared < self.squared
        return Clusters(
            np.where(nearer, squared, self.squared),
            np.where(nearer, self.num_centers, self.center),
            self.num_centers + 1,
        )

    def in_largest(self) -> np.ndarray:
        """Which points are in a cluster with the largest sum of squared distances, ``[U]``."""
        sums = np.bincount(self.center, self.squared, minlength=self.num_centers)
        sums = geometry.rounded(sums)
        return sums[self.center] == sums.max()


def largest_cluster_farthest(
    points: np.ndarray,
    clusters: Clusters,
    *,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One after the other, the farthest point of the cluster that is largest by then.

    The size of a cluster is the sum of the squared distances of its points to its center.

    Args:
      points: ``[U, m]``.
      clusters: of the points, around all centers that are known before.
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows in order ``[k]``; and, before the first choice, the squared distances in the largest
      cluster, those in other clusters less the largest of all, ``[U]``.
    """
    largest = float(clusters.squared.max())
    utilities = clusters.squared - largest * ~clusters.in_largest()

    def values(_: np.ndarray) -> np.ndarray:
        return np.where(clusters.in_largest(), geometry.rounded(clusters.squared), -1)

    def add(row: int) -> None:
        nonlocal clusters
        clusters = clusters.joined(points, row)

    rows = greedy(k, values, add, available=available, tie_breaks=tie_breaks)
    return rows, utilities


def _sketched(given: CandidateSet) -> tuple[np.ndarray, Clusters]:
    readout = given.options.readout
    readout = "sum_logits" if readout == ALL_LOGITS else readout

    def sketch(x: ArrayLike) -> np.ndarray:
        projection = jax.random.key(_PROJECTION_SEED)
        rows = kernels.sketch(given.network, x, key=projection, size=SKETCH_SIZE, readout=readout)
        return np.asarray(rows, np.float64)

    points = sketch(given.x)
    return points, Clusters.around(points, sketch(given.x_labeled))
