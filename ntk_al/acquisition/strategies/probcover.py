"""ProbCover: balls of a fixed radius around labeled points, covering as many points as possible."""

from __future__ import annotations

import math

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array

PURITY = 0.95
"""The smallest accepted share of pure balls, α in the paper."""

_DIAMETER_SQUARED = 4.0
_JUST_BELOW = 1 - 1e-9


def probcover(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy maximum coverage by δ-balls (Yehuda et al. 2022, arXiv:2205.11320, Alg. 1).

    δ is the largest radius at which 95 % of the balls around all points are pure, which means that
    all their points are in one class; the classes are C clusters from k-means. The paper searches
    for δ. Here it is computed directly, because a ball is pure up to the distance of the nearest
    point of another class.

    The paper uses features from self-supervised learning; this implementation uses the last
    features of the network itself, scaled to length one as in the authors' code. Balls are open, as
    in that code, but they always include the copies of their center. Labeled points cover their
    balls from the start. Once nothing is left to cover, the key decides, whereas the authors' code
    takes the first point.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    space = feature_space(candidates, unit_length=True)
    squared_radius = candidates.once(_squared_radius)
    rows, gains = greedy_cover(
        space.candidates,
        covered=_inside(space.to_labeled, squared_radius),
        squared_radius=squared_radius,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, gains, {"radius": math.sqrt(squared_radius)})


def pure_radius(points: np.ndarray, classes: np.ndarray, purity: float = PURITY) -> float:
    """Computes the square of the largest radius at which a given share of open balls is pure.

    Args:
      points: ``[N, d]``.
      classes: the class of each point, ``[N]``.
      purity: the share of balls that must be pure.

    Returns:
      The squared radius; infinite if there is only one class.

    Examples:
      >>> points = np.array([[0.0], [1.0], [3.0]])
      >>> round(pure_radius(points, np.array([0, 0, 1]), purity=1.0), 6)
      4.0
    """
    to_other_class = np.empty(len(points))
    for rows in geometry.tiles(len(points), len(points)):
        squared = geometry.squared_distances(points[rows], points)
        squared[classes[rows, None] == classes] = np.inf
        to_other_class[rows] = squared.min(1)
    num_pure = math.ceil(round(purity * len(points), 6))
    # Slightly less, so that rounding cannot put the two deciding points into the same ball.
    return float(np.sort(to_other_class)[len(points) - num_pure]) * _JUST_BELOW


def greedy_cover(
    features: np.ndarray,
    *,
    covered: np.ndarray,
    squared_radius: float,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Repeatedly chooses the point whose ball covers the most points that are not covered yet.

    The graph of which point covers which is not stored. Distances to a point are computed again
    when it becomes covered, so each distance is computed at most twice.

    Args:
      features: ``[U, d]``.
      covered: a mask of the points that are covered from the start, ``[U]``.
      squared_radius: the squared radius of the balls.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

    Returns:
      The rows in order, ``[k]``, and the number of uncovered points that each point would have
      covered as the first choice, ``[U]``.
    """

    def balls(rows: np.ndarray | slice) -> np.ndarray:
        return _inside(geometry.squared_distances(features[rows], features), squared_radius)

    num = len(features)
    uncovered, gains = ~covered, np.empty(num)
    for part in geometry.tiles(num, num):
        gains[part] = (balls(part) & uncovered).sum(1)
    utilities = gains.copy()

    def add(row: int) -> None:
        newly = np.flatnonzero(balls(np.array([row]))[0] & uncovered)
        for part in geometry.tiles(len(newly), num):
            gains[:] -= balls(newly[part]).sum(0)
        uncovered[newly] = False

    rows = greedy(k, lambda _: gains, add, available=available, tie_breaks=tie_breaks)
    return rows, utilities


def _squared_radius(given: CandidateSet) -> float:
    space = feature_space(given, unit_length=True)
    num_classes = int(given.network_logits.shape[1])
    clusters = clustering.cluster(given, space, num_classes)
    points = np.concatenate([space.candidates, space.labeled])
    return min(pure_radius(points, np.concatenate(clusters)), _DIAMETER_SQUARED)


def _inside(squared: np.ndarray, squared_radius: float) -> np.ndarray:
    return (squared < squared_radius) | (squared == 0)
