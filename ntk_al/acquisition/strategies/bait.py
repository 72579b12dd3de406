"""BAIT: the batch that minimizes a bound on the remaining variance by the Fisher information."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array

PRIOR = 1.0
"""λ, as in the authors' code."""

OVERSAMPLING = 2
"""The forward pass chooses this many times k points; the backward pass removes the excess."""


def bait(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Forward–backward greedy Fisher information (Ash et al. 2021, arXiv:2106.09675, Alg. 1).

    It minimizes tr((M + Σ_x I(x))⁻¹ I_U) over batches: 2k points are added greedily, and k of them
    are removed again. Each point that is added or removed costs one rank-one (Woodbury) update.

    The exact Fisher information of the last layer is a Cd × Cd matrix, and so are M and I_U. This
    implementation uses the published binary approximation for many classes (Huseljic et al. 2024,
    arXiv:2404.08981). It treats the task as whether the most likely class is correct, so that
    I(x) = p (1 − p) h hᵀ is d × d, where p is the largest probability and h the features.

    The weights follow the code of both papers. M is λI with λ = 1, plus L / (L + k) times the mean
    of I over the L labeled points. A candidate's I(x) is multiplied by k / (L + k). I_U is the mean
    of I over all points, labeled ones included. The utility of a candidate is the amount by which
    it alone would lower the trace. The first row of the result is the first point that was added
    and not removed.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    h = np.asarray(candidates.features, np.float64)
    embeddings = embedding(candidates.probabilities, h)
    before = candidates.once(_labeled_embedding)
    labeled = np.concatenate([before, embeddings[candidates.observed_rows]])
    everything = embeddings.T @ embeddings + before.T @ before
    rows, utilities = forward_backward(
        embeddings * np.sqrt(k / (len(labeled) + k)),
        PRIOR * np.eye(h.shape[1]) + labeled.T @ labeled / (len(labeled) + k),
        everything / (len(embeddings) + len(before)),
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, utilities)


def embedding(probabilities: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Computes √(p (1 − p)) h, ``[U, d]``, whose outer product with itself is I(x)."""
    p = probabilities.max(1)
    return np.sqrt(p * (1 - p))[:, None] * features


def forward_backward(
    embeddings: np.ndarray,
    information: np.ndarray,
    target: np.ndarray,
    *,
    available: np.ndarray,
    k: int,
    tie_breaks: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses a batch S that makes tr((information + Σ_S x xᵀ)⁻¹ target) small.

    Args:
      embeddings: x, ``[U, d]``.
      information: a positive definite matrix, ``[d, d]``.
      target: a positive semidefinite matrix, ``[d, d]``.
      available: a mask of the rows that may be chosen, ``[U]``.
      k: how many rows to choose.
      tie_breaks: among rows of equal value, the one with the largest number wins, ``[U]``.

    Returns:
      The rows in the order in which they were added, ``[k]``, and the amount by which each row
      alone would lower the trace, ``[U]``.
    """
    traces = _Traces(embeddings, information, target)
    utilities = traces.gains()
    added = greedy(
        min(OVERSAMPLING * k, int(available.sum())),
        lambda _: geometry.rounded(traces.gains()),
        lambda row: traces.update(row, 1),
        available=available,
        tie_breaks=tie_breaks,
    )

    def cheapest(kept: np.ndarray) -> np.ndarray:
        values = np.zeros(len(embeddings))
        values[kept] = -geometry.rounded(traces.losses()[kept])
        return values

    removed = greedy(
        len(added) - k,
        cheapest,
        lambda row: traces.update(row, -1),
        available=np.isin(np.arange(len(embeddings)), added),
        tie_breaks=-tie_breaks,
    )
    return added[~np.isin(added, removed)], utilities


def _labeled_embedding(given: CandidateSet) -> np.ndarray:
    p = given.predictive.probabilities(np.asarray(given.labeled_logits, np.float64))
    return embedding(np.asarray(p), np.asarray(given.labeled_features, np.float64))


class _Traces:
    """How adding or removing any one row x would change tr(P target), with P = information⁻¹.

    Let quadratic = xᵀPx and numerator = xᵀP target Px. The trace falls by
    numerator / (1 + quadratic) when x is added, and grows by numerator / (1 − quadratic) when x is
    removed. Both quantities are kept for all rows, so updating P by one row takes only two products
    of the row matrix with a vector.
    """

    def __init__(self, rows: np.ndarray, information: np.ndarray, target: np.ndarray) -> None:
        self.rows, self.target = rows, target
        self.inverse = np.linalg.inv(information)
        solved = rows @ self.inverse
        self.quadratic = np.einsum("ud,ud->u", solved, rows)
        self.numerator = np.einsum("ud,ud->u", solved @ target, solved)

    def gains(self) -> np.ndarray:
        return self.numerator / (1 + self.quadratic)

    def losses(self) -> np.ndarray:
        return self.numerator / np.maximum(1 - self.quadratic, np.finfo(float).eps)

    def update(self, row: int, sign: int) -> None:
        u = self.inverse @ self.rows[row]
        factor = sign / (1 + sign * self.quadratic[row])
        target_u = self.target @ u
        along, across = self.rows @ u, self.rows @ (self.inverse @ target_u)
        self.numerator += factor * along * (factor * along * (u @ target_u) - 2 * across)
        self.quadratic -= factor * along**2
        self.inverse -= factor * np.outer(u, u)
