"""TypiClust: the most typical point of each cluster, unlabeled clusters first."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import best
from ntk_al.types import Array

MOST_CLUSTERS = 500
"""Upper bound for the number of clusters, as in the authors' code."""

LARGEST_SMALL_CLUSTER = 5
"""Clusters of up to this many points come last; the authors' code drops them."""

NUM_NEIGHBORS = 20
"""K in Eq. 4, as in the paper."""


def typiclust(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Typical clustering (Hacohen, Dekel and Weinshall 2022, arXiv:2202.02794, Eq. 4 and Alg. 1).

    k-means divides all points into min(L + k, 500) clusters. Clusters with the fewest labels come
    first, and among these the largest ones. Each cluster contributes its most typical point. The
    typicality of a point is (1/K Σ_i ‖x − x_i‖₂)⁻¹ over its K nearest neighbors.

    The paper uses features from self-supervised learning; this implementation uses the last
    features of the network itself, scaled to length one as in the authors' code. It also follows
    that code where the paper gives no details: neighbors are the other unlabeled points of the same
    cluster; K is 20, or half the number of these points if that is less; and if k exceeds the
    number of clusters, the clusters are visited again in the same order. It differs from that code
    in two ways: the distances of Eq. 4 are not squared, and clusters of up to five points come last
    instead of being dropped, so that any k can be chosen.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    space = feature_space(candidates, unit_length=True)
    num = min(len(space.labeled) + len(space.observed) + k, MOST_CLUSTERS)
    of_candidates, of_labeled = clustering.cluster(candidates, space, num)
    rows, utilities = most_typical(
        space.candidates,
        of_candidates,
        np.concatenate([of_labeled, of_candidates[space.observed]]),
        np.concatenate([of_labeled, of_candidates]),
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, utilities)


def most_typical(
    features: np.ndarray,
    clusters: np.ndarray,
    clusters_of_labels: np.ndarray,
    clusters_of_all: np.ndarray,
    *,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
    num_neighbors: int = NUM_NEIGHBORS,
    largest_small_cluster: int = LARGEST_SMALL_CLUSTER,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the most typical point of one cluster after another.

    Args:
      features: ``[U, d]``.
      clusters: the cluster of each candidate, ``[U]``.
      clusters_of_labels: the cluster of each labeled point, ``[L]``.
      clusters_of_all: the cluster of each of all N points, which gives the sizes, ``[N]``.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.
      num_neighbors: K.
      largest_small_cluster: clusters of up to this many points come last.

    Returns:
      The rows in order, ``[k]``, and utilities, ``[U]``. A utility is 1 / (1 + mean distance to the
      neighbors), which is at most 1, minus the position of the cluster, counted from 0. The
      utilities of different clusters therefore do not overlap.
    """
    num = int(clusters_of_all.max()) + 1
    sizes = np.bincount(clusters_of_all, minlength=num)
    labels = np.bincount(clusters_of_labels, minlength=num)
    cluster_ties = np.zeros(num)
    np.maximum.at(cluster_ties, clusters[available], tie_breaks[available])
    small = sizes <= largest_small_cluster
    order = np.lexsort((-cluster_ties, -sizes, labels, small))
    order = order[np.isin(order, clusters[available])]

    utilities = np.zeros(len(features))
    for position, cluster in enumerate(order):
        members = np.flatnonzero(available & (clusters == cluster))
        distances = mean_distances(features[members], num_neighbors)
        utilities[members] = 1 / (1 + distances) - position

    left = available.copy()
    rows: list[int] = []
    for group in (order[~small[order]], order[small[order]]):
        while len(rows) < k and left[np.isin(clusters, group)].any():
            for cluster in group:
                members = np.flatnonzero(left & (clusters == cluster))
                if len(rows) == k or not len(members):
                    continue
                distances = mean_distances(features[members], num_neighbors)
                every = np.ones(len(members), bool)
                pick = best(-geometry.rounded(distances), every, tie_breaks[members])
                rows.append(int(members[pick]))
                left[rows[-1]] = False
    return np.array(rows), utilities


def mean_distances(points: np.ndarray, num_neighbors: int) -> np.ndarray:
    """Computes the mean distance of each point to its nearest neighbors, 1 / typicality, ``[N]``.

    Args:
      points: ``[N, d]``.
      num_neighbors: the number of neighbors, or half of the points if that is less. A point
        without any neighbor has the mean distance zero.
    """
    num = min(num_neighbors, max(1, len(points) // 2), len(points) - 1)
    if num == 0:
        return np.zeros(len(points))
    result = np.empty(len(points))
    for rows in geometry.tiles(len(points), len(points)):
        squared = geometry.squared_distances(points[rows], points)
        own = np.arange(rows.start, rows.stop)
        squared[own - rows.start, own] = np.inf
        result[rows] = np.sqrt(np.partition(squared, num - 1, axis=1)[:, :num]).mean(1)
    return result
