"""The predictive distribution p(y | x): class probabilities as a function of a network's outputs.

Every strategy, criterion and retraining baseline that weighs by a probability takes it from here.
"""

from __future__ import annotations

import dataclasses
from typing import cast

import jax
import numpy as np

from ntk_al._utils import array_library, checks
from ntk_al.types import Array, ArrayLike

PREDICTIVES = {
    "calibrated": "the softmax of f / T, where the temperature T is fitted to the network",
    "simplex": "the probability vector nearest to f",
    "softmax": "the softmax of f, as the paper prints it; right for a cross-entropy loss",
}
"""The ways to turn outputs f into probabilities, by name."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Predictive:
    """Maps outputs f(x) to probabilities p(y | x).

    It works on NumPy arrays, which it keeps in their precision, and on JAX arrays, also traced.

    Attributes:
      temperature: T of the softmax of f / T.
      simplex: whether p is the Euclidean projection of f onto the probability simplex instead,
        which has no temperature.

    Raises:
      TypeError: if the temperature is not a number.
      ValueError: if it is not positive and finite.

    Examples:
      Outputs of a network that was trained with the squared loss are nearly one-hot vectors, whose
      softmax would be nearly uniform.

      >>> outputs = np.array([0.9, 0.1])
      >>> Predictive().probabilities(outputs).round(2).tolist()
      [0.69, 0.31]
      >>> Predictive(temperature=0.2).probabilities(outputs).round(2).tolist()
      [0.98, 0.02]
      >>> Predictive(simplex=True).probabilities(outputs).round(2).tolist()
      [0.9, 0.1]
    """

    temperature: ArrayLike | float = 1.0
    simplex: bool = dataclasses.field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        # JAX also rebuilds it around tracers and placeholders, which have no value to check.
        if isinstance(self.temperature, int | float | str | np.ndarray | np.generic):
            checks.positive("temperature", cast(float, self.temperature))

    def probabilities(self, outputs: ArrayLike) -> Array:
        """Computes p(y | x), ``[..., C]``, from outputs ``[..., C]``."""
        if self.simplex:
            return nearest_in_simplex(outputs)
        xp = array_library.of(outputs)
        weights = xp.exp(_shifted(outputs, self.temperature))
        return weights / weights.sum(-1, keepdims=True)

    def log_probabilities(self, outputs: ArrayLike) -> Array:
        """Computes log p(y | x), ``[..., C]``; −inf where ``simplex`` makes p zero."""
        xp = array_library.of(outputs)
        if self.simplex:
            return xp.log(nearest_in_simplex(outputs))
        shifted = _shifted(outputs, self.temperature)
        return shifted - xp.log(xp.exp(shifted).sum(-1, keepdims=True))

    def entropy(self, outputs: ArrayLike) -> Array:
        """Computes the entropy of p(y | x) in nats, ``[...]``, from outputs ``[..., C]``."""
        xp = array_library.of(outputs)
        if self.simplex:
            p = nearest_in_simplex(outputs)
            return -(p * xp.log(xp.where(p > 0, p, 1))).sum(-1)
        # One exponential for each output, because exponentials dominate the cost of EER.
        shifted = _shifted(outputs, self.temperature)
        weights = xp.exp(shifted)
        total = weights.sum(-1)
        return xp.log(total) - (weights * shifted).sum(-1) / total


SOFTMAX = Predictive()
"""The softmax of f itself."""

SIMPLEX = Predictive(simplex=True)
"""The projection of f onto the probability simplex."""


def nearest_in_simplex(outputs: ArrayLike) -> Array:
    """Projects vectors onto the probability simplex (Duchi et al. 2008, ICML, Fig. 1).

    Args:
      outputs: ``[..., C]``.

    Returns:
      The probability vectors nearest in Euclidean distance, ``[..., C]``.
    """
    xp = array_library.of(outputs)
    descending = -xp.sort(-outputs, axis=-1)
    ranks = xp.arange(1, outputs.shape[-1] + 1).astype(outputs.dtype)
    surplus = (descending.cumsum(-1) - 1) / ranks
    # The largest of these numbers is the one at which the positive parts sum to one.
    threshold = surplus.max(-1, keepdims=True)
    return xp.maximum(outputs - threshold, 0)


def _shifted(outputs: ArrayLike, temperature: ArrayLike | float) -> Array:
    """(f − max f) / T."""
    xp = array_library.of(outputs)
    shifted = outputs - outputs.max(-1, keepdims=True)
    return shifted / xp.asarray(temperature, outputs.dtype)
