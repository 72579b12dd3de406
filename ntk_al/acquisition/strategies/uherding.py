"""UHerding: labels that are close to uncertain points."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.coverage import greedy_coverage
from ntk_al.acquisition.features.feature_space import FeatureSpace, feature_space
from ntk_al.acquisition.strategies.maxherding import RADIUS
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array


def uherding(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy uncertainty coverage (Bae, Oliveira and Sutherland 2025, arXiv:2412.20644, Alg. 1).

    This is MaxHerding with points weighted by their uncertainty U(x) = 1 − (p₍₁₎ − p₍₂₎), where p
    is the softmax of f(x) / τ. Its parameters adapt as in the paper: σ is the smallest distance
    between two different labeled features (1 if there are no two), and τ calibrates the
    probabilities.

    The authors' code finds τ with a network that it trains on 70 % of the labels and tests on the
    rest. A query does not train a network here, so p is the predictive distribution of
    ``options.predictive``, by default with the temperature of ``network.calibration``. If no point
    is uncertain at all, U is set to one everywhere.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    space = feature_space(candidates, unit_length=True)
    radius = min(candidates.once(_between_labeled), _to_observed(space))
    radius = radius if np.isfinite(radius) else RADIUS
    uncertainty = margin_uncertainty(candidates.probabilities)
    rows, gains = greedy_coverage(
        space.candidates,
        uncertainty if uncertainty.any() else np.ones_like(uncertainty),
        space.to_labeled,
        radius=radius,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, gains, {"radius": radius})


def margin_uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Computes 1 − (p₍₁₎ − p₍₂₎), ``[U]``, from p(y | x), ``[U, C]``."""
    p = np.sort(probabilities, axis=1)
    return p[:, :-1].sum(1) + p[:, -2]  # if p₍₁₎ is nearly 1, 1 − p₍₁₎ would lose all digits


def smallest_distance(points: np.ndarray) -> float:
    """Computes the smallest distance between two different points; infinite if all are equal."""
    smallest = np.inf
    for rows in geometry.tiles(len(points), len(points)):
        squared = geometry.squared_distances(points[rows], points)
        smallest = min(smallest, squared.min(where=squared > 0, initial=np.inf))
    return float(np.sqrt(smallest))


def _between_labeled(given: CandidateSet) -> float:
    return smallest_distance(feature_space(given, unit_length=True).labeled)


def _to_observed(space: FeatureSpace) -> float:
    """Computes the smallest distance from a point labeled within the query to a labeled point."""
    observed = space.candidates[space.observed]
    if not len(observed):
        return np.inf
    squared = geometry.squared_distances(observed, np.concatenate([space.labeled, observed]))
    return float(np.sqrt(squared.min(where=squared > 0, initial=np.inf)))
