"""Core-set: cover the candidates with balls around labels, as small as they can be."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.greedy import greedy
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array


def coreset(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """k-center greedy in the last features (Sener and Savarese 2018, arXiv:1708.00489, Alg. 1).

    Distances are Euclidean. The paper measures them between activations of the last fully connected
    layer; these are its inputs, which do not depend on the number of classes. Its Alg. 2 goes on to
    improve the greedy answer by mixed integer programs that may leave out some points; most
    comparisons, and this, take the greedy answer, whose radius is at most twice the smallest.
    """
    space = feature_space(candidates, unit_length=False)
    rows, distances = k_center_greedy(
        space.candidates,
        space.to_labeled,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, distances)


def k_center_greedy(
    features: np.ndarray,
    to_labeled: np.ndarray,
    *,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One after the other, the point that is farthest from all labeled and chosen points.

    Args:
      features: ``[U, d]``.
      to_labeled: squared distance to the nearest labeled point, ``[U]``.
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows in order ``[k]``, and the distance to the nearest labeled point, ``[U]``.
    """
    squared = to_labeled

    def values(_: np.ndarray) -> np.ndarray:
        return geometry.rounded(squared)

    def add(row: int) -> None:
        nonlocal squared
        to_row = geometry.squared_distances(features, features[row][None])[:, 0]
        squared = np.minimum(squared, to_row)

    rows = greedy(k, values, add, available=available, tie_breaks=tie_breaks)
    return rows, np.sqrt(to_labeled)
