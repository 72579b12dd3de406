"""The last features of all points of a query, and the distances of candidates to labeled points."""

from __future__ import annotations

import dataclasses

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
    """The points of one query, as inputs of the network's last layer, in float64.

    Attributes:
      candidates: features of the candidates, ``[U, d]``.
      labeled: features of the points that were labeled before the query, ``[L, d]``.
      observed: rows of the candidates that were labeled within the query.
      to_labeled: squared distance of each candidate to the nearest labeled point, including those
        labeled within the query, ``[U]``.
    """

    candidates: np.ndarray
    labeled: np.ndarray
    observed: np.ndarray
    to_labeled: np.ndarray


def feature_space(given: CandidateSet, *, unit_length: bool) -> FeatureSpace:
    """Returns the feature space of a query.

    Args:
      given: the candidates.
      unit_length: whether to scale every feature vector to length one.
    """
    points, labeled, to_labeled = given.once(_prepared, unit_length)
    observed = np.array(given.observed_rows, int)
    if len(observed):
        to_labeled = np.minimum(to_labeled, geometry.nearest(points, points[observed])[0])
    return FeatureSpace(points, labeled, observed, to_labeled)


def _prepared(given: CandidateSet, unit_length: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns candidates, labeled points, and each candidate's squared distance to the nearest."""
    prepare = geometry.normalized if unit_length else _in_float64
    points, labeled = prepare(given.features), prepare(given.labeled_features)
    return points, labeled, geometry.nearest(points, labeled)[0]


def _in_float64(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float64)
