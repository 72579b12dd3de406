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
    points, labeled, to_labeled = given.once(_prepared, unit_length)
    observed = np.array(given.observed_rows, int)
    if len(observed):
        to_labeled = np.minimum(to_labeled, geometry.nearest(points, points[observed])[0])
    return FeatureSpace(points, labeled, observed, to_labeled)


def _prepared(given: CandidateSet, unit_length: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates, labeled points, and the squared distance of each of the former to the latter."""
    prepare = geometry.normalized if unit_length else _in_float64
    points, labeled = prepare(given.features), prepare(given.labeled_features)
    return points, labeled, geometry.nearest(points, labeled)[0]


def _in_float64(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float64)
