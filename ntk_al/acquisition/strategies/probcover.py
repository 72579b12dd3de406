"""ProbCover: balls of one radius around labels that cover as many points as possible."""

from __future__ import annotations

import math

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import clustering, geometry
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.greedy import greedy
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array

PURITY = 0.95
"""The least share of pure balls, α of the paper."""

_DIAMETER_SQUARED = 4.0
_JUST_BELOW = 1 - 1e-9


def probcover(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy maximum coverage by δ-balls (Yehuda et al. 2022, arXiv:2205.11320, Alg. 1).

    δ is the largest radius at which 95 % of the balls around all points are pure, that is of one
    class; classes are those of k-means into C clusters. The paper searches for it, here it is
    computed: a ball is pure up to the distance of the nearest point of another class.

    The paper takes features of self-supervised learning; these are the network's own last ones,
    scaled to length one as in the authors' code. Balls are open, as there, but for the copies of
    their center. Points that are labeled cover theirs from the beginning. Once nothing is left to
    cover, the key decides; the authors' code takes the first.
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
    """The square of the largest radius of which a share of open balls is pure.

    Infinite with one class.

    Args:
      points: ``[N, d]``.
      classes: ``[N]``.
      purity: the share.
    """
    to_other_class = np.empty(len(points))
    for rows in geometry.tiles(len(points), len(points)):
        squared = geometry.squared_distances(points[rows], points)
        squared[classes[rows, None] == classes] = np.inf
        to_other_class[rows] = squared.min(1)
    num_pure = math.ceil(round(purity * len(points), 6))
    # Just below, so that rounding cannot put the pair of points that decided into one ball.
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
    """One after the other, the point whose ball covers most of what is not covered yet.

    The graph of who covers whom is not held: distances are computed again when a point becomes
    covered, in all twice.

    Args:
      features: ``[U, d]``.
      covered: which points are covered from the beginning, ``[U]``.
      squared_radius: of the balls.
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows in order ``[k]``, and how many points each would have covered first, ``[U]``.
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
