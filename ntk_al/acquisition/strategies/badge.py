"""BADGE: a batch whose last-layer gradients are large and diverse."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array


def badge(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """k-means++ on gradient embeddings (Ash et al. 2020, arXiv:1906.03671, Alg. 1).

    The embedding is the gradient (p − e_ŷ) ⊗ h of the cross-entropy with respect to the last layer
    under the most likely label ŷ, where p is p(y | x) and h the features. It is never formed
    explicitly. The first center is the embedding with the largest norm, as in the authors' code;
    k-means++, and with it the paper's Alg. 1, would draw the first center uniformly. Candidates
    that were labeled within this query count as centers, so a sequential query spreads out as a
    batch does. Points that were labeled earlier do not count as centers, as in the paper.

    Args:
      key: PRNG key of the draws.
      candidates: the candidates.
      k: how many to choose.
    """
    rows, utilities = k_means_plus_plus(
        errors(candidates.probabilities),
        np.asarray(candidates.features, np.float64),
        available=candidates.available,
        k=k,
        uniform=lambda step: uniform_by_id(jax.random.fold_in(key, step), candidates.ids),
        centers=candidates.observed_rows,
    )
    return Choice(rows, utilities)


def errors(probabilities: np.ndarray) -> np.ndarray:
    """Computes the factor a = p − e_ŷ of the embedding, with ŷ = argmax p, ``[U, C]``."""
    a = probabilities.copy()
    a[np.arange(len(a)), a.argmax(1)] -= 1
    return a


def k_means_plus_plus(
    errors: np.ndarray,
    features: np.ndarray,
    *,
    available: np.ndarray,
    k: int,
    uniform: Callable[[int], np.ndarray],
    centers: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """D² sampling of the embeddings a ⊗ h, using ⟨a ⊗ h, a' ⊗ h'⟩ = ⟨a, a'⟩ ⟨h, h'⟩.

    A row is drawn with probability proportional to D², its squared distance to the nearest center.
    To draw it, Gumbel noise is added to each log D², and the largest sum wins. Rows at distance
    zero are drawn last.

    Args:
      errors: a, ``[U, C]``.
      features: h, ``[U, d]``.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      uniform: maps the number of a step to a uniform number in [0, 1) for each row, ``[U]``.
      centers: rows that are centers from the start. If there are none, the first center is the row
        with the largest norm.

    Returns:
      The rows in order, ``[k]``, and the values of which the first chosen row had the largest,
      ``[U]``: the norms if there were no centers, otherwise the perturbed log D².
    """
    squared_norms = np.square(errors).sum(1) * np.square(features).sum(1)
    squared = np.full(len(features), np.inf)

    def add(row: int) -> None:
        nonlocal squared
        squared = np.minimum(squared, _to_row(errors, features, squared_norms, row))

    for center in centers:
        add(center)
    utilities = np.sqrt(squared_norms)
    steps = itertools.count()

    def values(_: np.ndarray) -> np.ndarray:
        nonlocal utilities
        step = next(steps)
        if step == 0 and not centers:
            return geometry.rounded(squared_norms)
        perturbed = np.log(np.maximum(squared, np.finfo(float).tiny)) + _gumbel(uniform(step))
        utilities = perturbed if step == 0 else utilities
        return perturbed

    rows = greedy(k, values, add, available=available, tie_breaks=uniform(0))
    return rows, utilities


def _to_row(
    errors: np.ndarray, features: np.ndarray, squared_norms: np.ndarray, row: int
) -> np.ndarray:
    """Computes the squared distance of every embedding to that of one row, ``[U]``."""
    products = (errors @ errors[row]) * (features @ features[row])
    return geometry.from_products(squared_norms, squared_norms[row], products)


def _gumbel(uniform: np.ndarray) -> np.ndarray:
    return -np.log(-np.log(np.maximum(uniform.astype(float), np.finfo(np.float32).tiny)))
