"""LCMD: the farthest point in the largest cluster around labeled points, in gradient space."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead import ALL_LOGITS
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array, ArrayLike

SKETCH_SIZE = 512
"""Length of the sketched gradients, as in the paper."""

_PROJECTION_SEED = 0


def lcmd(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """LCMD-TP on sketched gradients (Holzmüller et al. 2023, JMLR 24(164), arXiv:2203.09410).

    LCMD means largest cluster maximum distance; in its mode TP, labeled points are cluster centers,
    too. The kernel is the one that the authors recommend: that of ∂g/∂θ over all parameters,
    randomly projected to 512 numbers. They study regression, where the network has one output. Here
    g is the scalar read-out of the look-ahead strategies, or Σ_c f_c / √C if ``options.readout`` is
    ``"all_logits"``. The projection does not depend on the key, so that calls can share the
    sketches.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
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
    """An assignment of points to clusters, one around each center.

    Attributes:
      squared: squared distance of each point to its nearest center, ``[U]``.
      center: number of that center, ``[U]``; the lowest number if several are equally near.
      num_centers: the number of centers.
    """

    squared: np.ndarray
    center: np.ndarray
    num_centers: int

    @classmethod
    def around(cls, points: np.ndarray, centers: np.ndarray) -> Clusters:
        """Assigns points ``[U, m]`` to centers ``[L, m]``."""
        return cls(*geometry.nearest(points, centers), len(centers))

    def joined(self, points: np.ndarray, row: int) -> Clusters:
        """Returns the clusters after the point in one row has become a center, too."""
        squared = geometry.squared_distances(points, points[row : row + 1])[:, 0]
        nearer = squared < self.squared
        return Clusters(
            np.where(nearer, squared, self.squared),
            np.where(nearer, self.num_centers, self.center),
            self.num_centers + 1,
        )

    def in_largest(self) -> np.ndarray:
        """A mask of the points in the cluster with the largest sum of squared distances, ``[U]``.

        If several clusters tie, the mask includes all of them.
        """
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
    """Repeatedly chooses the farthest point in the cluster that is currently the largest.

    The size of a cluster is the sum of the squared distances of its points to its center.

    Args:
      points: ``[U, m]``.
      clusters: the points, assigned to the centers that are known at the start.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

    Returns:
      The rows in order, ``[k]``, and the utilities before the first choice, ``[U]``. The utility of
      a point in the largest cluster is its squared distance to the center. For the other points the
      largest squared distance of all is subtracted, so that they come later.
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
