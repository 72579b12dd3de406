"""Class probabilities from logits, in float64."""

from __future__ import annotations

import numpy as np

from ntk_al.types import ArrayLike


def softmax(logits: ArrayLike) -> np.ndarray:
    """Computes exp(f_c) / Σ exp(f_c) in float64, ``[N, C]``, from logits ``[N, C]``.

    Example:
      >>> softmax([[0.0, 0.0]]).tolist()
      [[0.5, 0.5]]
    """
    logits = np.asarray(logits, np.float64)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
