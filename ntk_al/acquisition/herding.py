"""MaxHerding and UHerding: labels near to all points, or to those that are uncertain."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition import calibration, geometry
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.feature_space import FeatureSpace, feature_space
from ntk_al.acquisition.strategy import best, uniform_by_id
from ntk_al.types import Array

RADIUS = 1.0
"""Radius of the kernel where none is adapted: the default of the authors' code."""

_BLOCK = 32


def maxherding(
    key: Array, candidates: CandidateSet, k: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Greedy generalized coverage (Bae, Noh and Sutherland 2024, arXiv:2407.12212).

    Maximises the mean over points x of max_{x'} k(x, x') over labeled and chosen points x', with
    k(x, x') = exp(−‖x − x'‖² / σ²) and σ = 1 on features of length one, as in the authors' code.
    The paper takes features of self-supervised learning; these are the network's own last ones.
    """
    space = feature_space(candidates, unit_length=True)
    rows, gains = greedy_coverage(
        space.candidates,
        np.ones(len(space.candidates)),
        space.to_labeled,
        radius=RADIUS,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return rows, gains, {"radius": RADIUS}


def uherding(
    key: Array, candidates: CandidateSet, k: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Greedy uncertainty coverage (Bae, Oliveira and Sutherland 2025, arXiv:2412.20644, Alg. 1).

    MaxHerding with points weighted by their uncertainty U(x) = 1 − (p₍₁₎ − p₍₂₎), p the softmax of
    f(x) / τ, and with the adaptation of the paper: σ is the smallest distance between two different
    labeled features (1 if there are no two), and τ calibrates the probabilities.

    Its code finds τ with a network that it trains on 70 % of the labels and tests on the others. A
    query trains no network, so τ is that of a ridge regression on the last features, left-one-out
    in closed form (see ``calibration``); it is computed once, from the labels before the query. If
    no point is uncertain at all, U is one.
    """
    space = feature_space(candidates, unit_length=True)
    temperature = candidates.once("temperature", lambda: _temperature(candidates))
    between = candidates.once(
        "smallest distance of labeled features", lambda: smallest_distance(space.labeled)
    )
    radius = min(between, _to_observed(space))
    radius = radius if np.isfinite(radius) else RADIUS
    uncertainty = margin_uncertainty(np.asarray(candidates.logits, np.float64) / temperature)
    rows, gains = greedy_coverage(
        space.candidates,
        uncertainty if uncertainty.any() else np.ones_like(uncertainty),
        space.to_labeled,
        radius=radius,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return rows, gains, {"radius": radius, "temperature": temperature}


def margin_uncertainty(logits: np.ndarray) -> np.ndarray:
    """1 − (p₍₁₎ − p₍₂₎) of the softmax, ``[U, C]`` to ``[U]``."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = np.sort(p / p.sum(1, keepdims=True), axis=1)
    return p[:, :-1].sum(1) + p[:, -2]  # 1 − p₍₁₎ would round off what is left of it


def smallest_distance(points: np.ndarray) -> float:
    """The smallest distance between two different points, infinite if all are equal."""
    smallest = np.inf
    for rows in geometry.tiles(len(points), len(points)):
        squared = geometry.squared_distances(points[rows], points)
        smallest = min(smallest, squared.min(where=squared > 0, initial=np.inf))
    return float(np.sqrt(smallest))


def greedy_coverage(
    features: np.ndarray,
    weights: np.ndarray,
    to_labeled: np.ndarray,
    *,
    radius: float,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One after the other, the point that raises the weighted coverage most.

    The coverage Σ_x weight(x) max_{x'} k(x, x') / U is submodular: what a point would add never
    grows. A gain that was computed earlier is therefore an upper bound, and only bounds that could
    be the largest are computed again (Minoux 1978), without a kernel of U × U.

    Args:
      features: ``[U, d]``.
      weights: of the points to be covered, at least 0, ``[U]``.
      to_labeled: squared distance to the nearest labeled point, ``[U]``.
      radius: σ of the kernel exp(−‖x − x'‖² / σ²).
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows in order ``[k]``, and how much each would have added first, ``[U]``.
    """
    coverage = np.exp(-to_labeled / radius**2)

    def kernel(rows: np.ndarray) -> np.ndarray:
        return np.exp(-geometry.squared_distances(features[rows], features) / radius**2)

    def gains(rows: np.ndarray) -> np.ndarray:
        result = np.empty(len(rows))
        for part in geometry.tiles(len(rows), len(features)):
            result[part] = np.maximum(kernel(rows[part]) - coverage, 0) @ weights
        return result / len(features)

    utilities = gains(np.arange(len(features)))
    scale = float(utilities.max())
    bounds = geometry.rounded(utilities, scale)
    allowed, rows = available.copy(), []
    for step in range(k):
        stale = allowed & (bounds > 0) & (step > 0)
        while stale[row := best(bounds, allowed, tie_breaks)]:
            largest = np.flatnonzero(stale)
            largest = largest[np.argsort(-bounds[largest])[:_BLOCK]]
            block = np.append(largest, row)
            bounds[block] = geometry.rounded(gains(block), scale)
            stale[block] = False
        rows.append(row)
        allowed[row] = False
        coverage = np.maximum(coverage, kernel(np.array([row]))[0])
    return np.array(rows), utilities


def _temperature(candidates: CandidateSet) -> float:
    num_labeled = len(candidates.x_labeled)
    return calibration.temperature_of_features(
        candidates.labeled_features[:num_labeled],
        candidates.y_known[:num_labeled],
        ridge=candidates.options.ridge,
    )


def _to_observed(space: FeatureSpace) -> float:
    """The smallest distance of a point labeled within the query to another labeled one."""
    observed = space.candidates[space.observed]
    if not len(observed):
        return np.inf
    squared = geometry.squared_distances(observed, np.concatenate([space.labeled, observed]))
    return float(np.sqrt(squared.min(where=squared > 0, initial=np.inf)))
