"""TypiClust: the most typical point of each cluster that has no label yet."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.greedy import best
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array

MOST_CLUSTERS = 500
"""More are never made, as in the authors' code."""

LARGEST_SMALL_CLUSTER = 5
"""Clusters of up to this many points come last, as in the authors' code, which drops them."""

NUM_NEIGHBORS = 20
"""K of Eq. 4, as in the paper."""


def typiclust(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Typical clustering (Hacohen, Dekel and Weinshall 2022, arXiv:2202.02794, Eq. 4 and Alg. 1).

    k-means makes min(L + k, 500) clusters of all points. Clusters with the fewest labels come
    first, among those the largest; each gives its point of the largest typicality,
    (1/K Σ_i ‖x − x_i‖₂)⁻¹ over its K nearest neighbors.

    The paper takes features of self-supervised learning; these are the network's own last ones,
    scaled to length one as in the authors' code. Where the paper is silent that code is followed:
    neighbors are the other unlabeled points of the same cluster, K is 20 or half of those if that
    is less, and where k exceeds the number of clusters their order is gone through again. It
    squares the distances of Eq. 4, which is not done here; and clusters of up to five points, which
    it drops, come last, so that any k can be chosen.
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
    """The most typical points of clusters, cluster after cluster.

    Args:
      features: ``[U, d]``.
      clusters: of the candidates, ``[U]``.
      clusters_of_labels: of all labeled points, ``[L]``.
      clusters_of_all: of all points, which tell how large a cluster is, ``[N]``.
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.
      num_neighbors: K.
      largest_small_cluster: clusters of up to this many points come last.

    Returns:
      The rows in order ``[k]``; and utilities ``[U]``: 1 / (1 + mean distance to the neighbors)
      less the position of the cluster, which is from 0, so that clusters do not overlap.
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
    """Mean distance of each point to its nearest others, one over its typicality, ``[N]``.

    Others are ``num_neighbors``, or half of the points if that is less; alone, a point is at zero.
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
