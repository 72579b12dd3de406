"""Core-set: cover the candidates with balls around labeled points that are as small as possible."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array


def coreset(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy k-center in the last features (Sener and Savarese 2018, arXiv:1708.00489, Alg. 1).

    Distances are Euclidean. The paper measures them between the activations of the last fully
    connected layer. This implementation uses the inputs of that layer, whose size does not depend
    on the number of classes. Alg. 2 of the paper improves the greedy solution with mixed integer
    programs that may leave some points uncovered. Like most comparisons, this implementation keeps
    the greedy solution, whose radius is at most twice the smallest possible.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
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
    """Repeatedly chooses the point that is farthest from all labeled and chosen points.

    Args:
      features: ``[U, d]``.
      to_labeled: squared distance of each point to the nearest labeled one, ``[U]``.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

    Returns:
      The rows in order, ``[k]``, and the distance of each point to the nearest labeled one,
      ``[U]``.
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
