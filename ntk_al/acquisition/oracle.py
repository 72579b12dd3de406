"""The best of many batches by their true labels: an upper line for figures, not a strategy."""

from __future__ import annotations

import jax
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.selection import Selection
from ntk_al.acquisition.strategy import Strategy
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array

NUM_BATCHES = 200
"""How many batches compete."""


def best_of_many(
    key: Array, strategy: Strategy, candidates: CandidateSet, k: int, labels: np.ndarray
) -> Selection:
    """Returns the batch after whose labels the linearized network knows most of the candidates.

    Batches are those that the strategy chooses with different keys. Each is judged by the accuracy
    of the retrained linearized network (Eq. 11) at the candidates that are not in it, and among
    equals by the mean squared error. Retraining is one block update of the posterior mean.

    Args:
      key: PRNG key.
      strategy: proposes the batches; ``random`` proposes the most different ones.
      candidates: the candidates.
      k: how many to choose.
      labels: the true class ids of all candidates, ``[U]``.

    Returns:
      The best batch in the order of its strategy, with ``accuracy`` as it is predicted for this
      batch, and as it is on average, ``mean_accuracy``.

    """
    belief = candidates.posterior
    row_of = {int(i): row for row, i in enumerate(candidates.ids)}
    targets = np.eye(belief.logits.shape[1])[labels]
    found = []
    for number in range(NUM_BATCHES):
        selection = strategy(jax.random.fold_in(key, number), candidates, k)
        rows = np.array([row_of[int(i)] for i in selection.ids])
        mean = mean_after(belief, rows, labels[rows])[: len(labels)]
        others = np.setdiff1d(np.arange(len(labels)), rows)
        if not len(others):
            return selection
        right = float((mean[others].argmax(1) == labels[others]).mean())
        error = float(np.square(mean[others] - targets[others]).sum(1).mean())
        found.append((right, -error, selection))
    accuracy, _, best = max(found, key=lambda judged: judged[:2])
    mean_accuracy = float(np.mean([right for right, _, _ in found]))
    return Selection(
        best.ids,
        best.utilities,
        {**best.diagnostics, "accuracy": accuracy, "mean_accuracy": mean_accuracy},
    )


def mean_after(belief: Belief, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the posterior mean after several labels, ``[Q, C]``.

    Args:
      belief: the posterior before them.
      rows: the rows of the labeled query points, ``[B]``.
      labels: their class ids, ``[B]``.
    """
    if not isinstance(belief, Posterior):
        return np.asarray(belief.observe(rows, labels).mean)
    s, mean = np.asarray(belief.covariance, np.float64), np.asarray(belief.mean, np.float64)
    among = s[np.ix_(rows, rows)] + float(belief.noise) * np.eye(len(rows))
    missing = np.eye(mean.shape[1])[labels] - mean[rows]
    return mean + s[:, rows] @ np.linalg.lstsq(among, missing, rcond=None)[0]
