"""The last features of a query's points, and how far candidates are from the labeled ones."""

from __future__ import annotations

import dataclasses

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
    """Points of one query in the space of the inputs of the network's last layer, in float64.

    Attributes:
      candidates: ``[U, d]``.
      labeled: those that were labeled before the query, ``[L, d]``.
      observed: rows of candidates that were labeled within the query.
      to_labeled: squared distance of each candidate to the nearest labeled point, those labeled
        within the query included, ``[U]``.
    """

    candidates: np.ndarray
    labeled: np.ndarray
    observed: np.ndarray
    to_labeled: np.ndarray


def feature_space(given: CandidateSet, *, unit_length: bool) -> FeatureSpace:
    """The feature space of a query, with features of length one or as they are."""
    num_labeled = len(given.x_labeled)
    prepare = geometry.normalized if unit_length else _as_they_are
    points, labeled = prepare(given.features), prepare(given.labeled_features[:num_labeled])
    to_labeled = given.once(
        f"distance to labeled features, unit length {unit_length}",
        lambda: geometry.nearest(points, labeled)[0],
    )
    observed = np.array([row for row, _ in given.observed], int)
    if len(observed):
        to_labeled = np.minimum(to_labeled, geometry.nearest(points, points[observed])[0])
    return FeatureSpace(points, labeled, observed, to_labeled)


def _as_they_are(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float64)
