"""k-means over all points of a query; the result does not depend on the order of the pool."""

from __future__ import annotations

import warnings

import numpy as np

from ntk_al._utils import extras
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features.feature_space import FeatureSpace, feature_space

_MOST_FOR_FULL_BATCHES = 50
_MINI_BATCH = 5000
_SEED = 0


def cluster(given: CandidateSet, space: FeatureSpace, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters the candidates and the points that were labeled before the query.

    k-means has a fixed seed, so it runs once for each query and number of clusters. Its initial
    centers depend on the order of the points, so candidates are sorted by id first.

    Args:
      given: the candidates.
      space: their feature space.
      num: the number of clusters; at most one for each point is made.

    Returns:
      The clusters of the candidates, ``[U]``, and of the labeled points, ``[L]``.

    Raises:
      MissingExtraError: if scikit-learn is not installed.
    """
    num = min(num, len(space.labeled) + len(space.candidates))
    return given.once(_clusters, num)


def _clusters(given: CandidateSet, num: int) -> tuple[np.ndarray, np.ndarray]:
    space, order = feature_space(given, unit_length=True), np.argsort(given.ids)
    num_labeled = len(space.labeled)
    clusters = k_means(np.concatenate([space.labeled, space.candidates[order]]), num)
    of_candidates = np.empty(len(order), int)
    of_candidates[order] = clusters[num_labeled:]
    return of_candidates, clusters[:num_labeled]


def k_means(points: np.ndarray, num: int) -> np.ndarray:
    """Computes the cluster of each point, ``[N]``, with scikit-learn.

    As in the code of TypiClust, more than 50 clusters are computed with mini-batches of 5000
    points. The numbers of restarts are scikit-learn's defaults from the time of that code. If there
    are fewer different points than clusters, some clusters stay empty.
    """
    # Imported here because the import takes most of a second.
    with extras.needed("clusters of features need", "scikit-learn", extra="experiments"):
        from sklearn.cluster import KMeans, MiniBatchKMeans
        from sklearn.exceptions import ConvergenceWarning

    if num > _MOST_FOR_FULL_BATCHES:
        model = MiniBatchKMeans(num, batch_size=_MINI_BATCH, n_init=3, random_state=_SEED)
    else:
        model = KMeans(num, n_init=10, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit_predict(points))
