"""k-means over all points of a query, the same for any order of the pool."""

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
    """Clusters of the candidates ``[U]`` and of the points labeled before the query, ``[L]``.

    Computed once for a query and a number of clusters, as k-means has a fixed seed. Its initial
    centers depend on positions, so the candidates are put in the order of their ids.
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
    """The cluster of each point, ``[N]``, by scikit-learn.

    Mini-batches of 5000 for more than 50 clusters, as in the code of TypiClust, with the numbers of
    restarts that were scikit-learn's defaults then. Fewer different points than clusters leave some
    clusters empty.
    """
    # Here, because the import takes most of a second.
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
