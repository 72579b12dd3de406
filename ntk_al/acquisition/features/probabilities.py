"""Class probabilities of outputs, in float64."""

from __future__ import annotations

import numpy as np

from ntk_al.types import ArrayLike


def softmax(logits: ArrayLike) -> np.ndarray:
    """exp(f_c) / Σ exp(f_c), ``[N, C]`` to ``[N, C]``."""
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
