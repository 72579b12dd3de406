"""Look-ahead by real training: the plain method that the kernel replaces.

For every candidate and every label that the criterion considers, the network is trained from the
weights that it has, and its outputs at all candidates are compared with those of before. Nothing
is linearized, and nothing is cheap: cost grows with U trainings, times C for expectations.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.lookahead.criteria import CRITERIA, Evaluation, Retrained
from ntk_al.network import Network

Train = Callable[[np.ndarray, int], Network]
"""An input and a class id for it to the network that was trained with it."""


def scores(candidates: CandidateSet, train: Train) -> np.ndarray:
    """The criterion at every available candidate, ``[U]``; −inf elsewhere."""
    criterion, logits = CRITERIA[candidates.options.criterion], candidates.network_logits
    x_eval, before = candidates.x, logits
    if candidates.x_eval is not None:
        x_eval, before = candidates.x_eval, jnp.asarray(candidates.problem.eval_logits)
    evaluation = Evaluation(before, jnp.zeros_like(before))
    probabilities = np.asarray(jax.nn.softmax(logits))
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
