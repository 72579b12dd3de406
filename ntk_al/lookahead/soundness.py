"""Whether scores, and the network that they are made of, can be relied on."""

from __future__ import annotations

import warnings

import jax
import numpy as np

from ntk_al._utils import checks
from ntk_al.lookahead.problem import Problem
from ntk_al.types import ArrayLike

_FAR_FROM_TARGETS = 0.5  # mean distance per example, relative to a network that knows nothing


def check_scores(scores: ArrayLike, k: int = 1) -> None:
    """Raises ValueError if fewer than k scores are finite; −inf marks what cannot be scored.

    Tracers pass.
    """
    if checks.is_traced(scores):
        return
    num_finite = int(np.isfinite(jax.device_get(scores)).sum())
    if num_finite < k:
        raise ValueError(
            f"only {num_finite} of {len(scores)} candidates can be scored, and at least {k} must "
            "be: the changes that the others would cause are not finite. The outputs of the "
            "network or its gradients are probably too large: normalize inputs and targets, or "
            "retrain with a lower learning rate"
        )


def warn_of_large_residual(problem: Problem) -> None:
    """Warns the caller's caller if the network hardly fits its labels."""
    if checks.is_traced(problem.residual):
        return
    distance = float(np.linalg.norm(np.asarray(problem.residual), axis=1).mean())
    untrained = float(problem.distance)
    if distance > _FAR_FROM_TARGETS * untrained > 0:
        warnings.warn(
            f"the outputs of the network on the labeled set are far from their targets: the mean "
            f"of ‖y − f(x)‖ is {distance:.2g}; an untrained network has about {untrained:.2g}. "
            "Changes measured from such a network mostly reflect retraining, not the candidate. "
            "Train with the squared loss (for classes, on one-hot targets), or score with "
            "reference='linearized'.",
            stacklevel=3,
        )
