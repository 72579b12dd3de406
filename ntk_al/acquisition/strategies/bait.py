"""BAIT: the batch that leaves the least variance, as the Fisher information bounds it."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.probabilities import softmax
from ntk_al.acquisition.greedy import greedy
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array, ArrayLike

PRIOR = 1.0
"""λ of the authors' code."""

OVERSAMPLING = 2
"""The forward pass chooses this many times k."""


def bait(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Forward–backward greedy Fisher information (Ash et al. 2021, arXiv:2106.09675, Alg. 1).

    Minimizes tr((M + Σ_x I(x))⁻¹ I_U) over batches: 2k points are added greedily and k of them
    taken away again. Each point that is looked at costs a rank-one (Woodbury) update.

    The Fisher information of the last layer is a matrix of Cd × Cd, and so are M and I_U. Here it
    is the published approximation for many classes (Huseljic et al. 2024, arXiv:2404.08981, the
    binary one): the task is whether the most likely class is right, so that I(x) = p (1 − p) h hᵀ,
    of d × d, with p the largest probability of softmax and h the features.

    Weights are those of the code of both papers: M is λI, λ = 1, plus L / (L + k) times the mean of
    I over the L labeled points; a candidate's I(x) is multiplied by k / (L + k); I_U is the mean
    over all points, labeled ones included. Utilities are what each candidate alone would take from
    the trace; the first row that is returned is the first that was added and not taken away.
    """
    h = np.asarray(candidates.features, np.float64)
    embeddings = embedding(candidates.logits, h)
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


def embedding(logits: ArrayLike, features: np.ndarray) -> np.ndarray:
    """√(p (1 − p)) h, whose outer product with itself is the Fisher information, ``[U, d]``."""
    p = softmax(logits).max(1)
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
    """A batch S that makes tr((information + Σ_S x xᵀ)⁻¹ target) small.

    Args:
      embeddings: x, ``[U, d]``.
      information: positive definite, ``[d, d]``.
      target: positive semidefinite, ``[d, d]``.
      available: which may be chosen, ``[U]``.
      k: how many.
      tie_breaks: among equals the largest of these is chosen, ``[U]``.

    Returns:
      The rows ``[k]`` in the order in which they were added, and by how much each alone would lower
      the trace, ``[U]``.
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
    return embedding(given.labeled_logits, np.asarray(given.labeled_features, np.float64))


class _Traces:
    """What adding or taking away any one row would do to tr(P target), P = information⁻¹.

    With quadratic = xᵀPx and numerator = xᵀP target Px it falls by numerator / (1 + quadratic) as x
    is added, and grows by numerator / (1 − quadratic) as it is taken away. Both are kept for all
    rows; an update of P by a row costs two products of them with a vector.
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
