"""Look-ahead by real training, the expensive method that the kernel replaces.

For every candidate, and every label that the criterion considers, the network is trained further
from its current weights, and its outputs at the evaluation points are compared with the earlier
ones. Nothing is linearized. This takes U trainings, or U·C for a criterion that is an expectation
over labels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.lookahead.criteria import LABEL_CRITERIA, Evaluation
from ntk_al.lookahead.outcomes import Retrained
from ntk_al.network import Network

Train = Callable[[np.ndarray, int], Network]
"""A function from an input and its class id to a network that was also trained on them."""


def scores(candidates: CandidateSet, train: Train) -> np.ndarray:
    """Computes the criterion for every available candidate, ``[U]``; it is −inf for the others.

    Args:
      candidates: the candidates; ``candidates.options.criterion`` names the criterion.
      train: trains the network on one more example.
    """
    criterion, logits = LABEL_CRITERIA[candidates.options.criterion], candidates.network_logits
    x_eval, before = candidates.x, logits
    if candidates.x_eval is not None:
        x_eval, before = candidates.x_eval, jnp.asarray(candidates.problem.eval_logits)
    evaluation = Evaluation(before, None, predictive=candidates.predictive)
    probabilities = candidates.predictive.probabilities(np.asarray(logits, np.float64))
    scores = np.full(len(logits), -np.inf)
    for row in np.flatnonzero(candidates.available):
        weights = probabilities[row]
        if not criterion.expected:
            weights = np.eye(len(weights))[int(np.asarray(logits)[row].argmax())]
        x = np.asarray(candidates.x[row])
        scores[row] = sum(
            weights[label]
            * float(
                criterion.measure(
                    evaluation,
                    Retrained(train(x, int(label)).predict(x_eval), logits[row]),
                    jnp.asarray(label),
                )
            )
            for label in np.flatnonzero(weights)
        )
    return scores
