"""Criteria: what a label would change, turned into a number.

A criterion is a measure of the outputs after a label, for the most likely label or as expectation
over labels. It sees one candidate, whatever way its outputs are foreseen in (``Outcome``). To add
one, add a measure and a row in ``CRITERIA``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from ntk_al.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The points at which a change is measured, before any candidate is labeled.

    Attributes:
      mean: outputs of the retrained linearized network, ``[E, C]``.
      offset: mean − f, ``[E, C]``; zero where changes are measured from the mean itself.
    """

    mean: Array
    offset: Array


class Outcome(Protocol):
    """What would become of the evaluation points if one candidate were labeled."""

    @property
    def logits(self) -> Array:
        """f(x_j) of the network, which gives the pseudo-label and p(y | x_j), ``[C]``."""
        ...

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """Outputs once x_j has that class id, ``[E, C]``."""
        ...

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖after(x) − before(x)‖₂, with before = mean − offset."""
        ...


Measure = Callable[[Evaluation, Outcome, Array], Array]
"""A number for the outputs after a label; higher is queried first."""


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A measure of the outputs after a label, and which labels are considered.

    Attributes:
      measure: of one label.
      expected: whether it is averaged over y ~ softmax f(x_j), and not taken at y = argmax f(x_j).
    """

    measure: Measure
    expected: bool

    def __call__(self, evaluation: Evaluation, outcome: Outcome) -> Array:
        """The score of one candidate, a scalar."""

        def of_label(label: Array) -> Array:
            return self.measure(evaluation, outcome, label)

        if not self.expected:
            return of_label(outcome.logits.argmax())
        values = jax.lax.map(of_label, jnp.arange(len(outcome.logits)))
        return jax.nn.softmax(outcome.logits) @ values


def output_change(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """Σ_x ‖f⁺(x) − f(x)‖₂, the change of all outputs (Eq. 3 with the L2 distance; Eq. 13)."""
    return outcome.output_change(evaluation, label)


def negative_entropy(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """− Σ_x entropy(softmax f⁺(x)) (Eq. 2). The reference does not enter."""
    return -entropy(outcome.after(evaluation, label)).sum()


def flipped(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """How many evaluation points change their argmax, in place of Eq. 13 in the released code."""
    after = outcome.after(evaluation, label)
    before = evaluation.mean - evaluation.offset
    return (after.argmax(1) != before.argmax(1)).sum().astype(after.dtype)


CRITERIA: dict[str, Criterion] = {
    "mlmoc": Criterion(output_change, expected=False),  # most likely model output change
    "emoc": Criterion(output_change, expected=True),  # expected model output change
    "eer": Criterion(negative_entropy, expected=True),  # expected error reduction
    "flips": Criterion(flipped, expected=False),
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RankOne:
    """Steps that each candidate would cause where all classes share a kernel (Eq. 11 and 12).

    With a leading axis U; criteria see one candidate, without it.

    Attributes:
      gain: w(x, j) at every evaluation point, ``[U, E]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, ``[U, C]``.
    """

    gain: Array
    mean: Array
    logits: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """mean⁺(x) = mean(x) + w(x, j) e_j."""
        return evaluation.mean + jnp.outer(self.gain, _step(self.mean, label))

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖b(x) + w(x, j) e_j‖₂ with the square expanded, so that no [E, C] is built."""
        b, w, e = evaluation.offset, self.gain, _step(self.mean, label)
        squared = jnp.square(b).sum(1) + 2 * w * _dot(b, e) + jnp.square(w) * _dot(e, e)
        return jnp.sqrt(jnp.maximum(squared, 0)).sum()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RankC:
    """Steps where every pair of classes has a kernel of its own; axes as in ``RankOne``.

    Attributes:
      gain: W(x, j) = S(x, x_j) (S_jj + λI)⁻¹ at every evaluation point, ``[U, E, C, C]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, ``[U, C]``.
    """

    gain: Array
    mean: Array
    logits: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """mean⁺(x) = mean(x) + W(x, j) e_j."""
        return evaluation.mean + _dot(self.gain, _step(self.mean, label))

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖b(x) + W(x, j) e_j‖₂."""
        return _total_change(self, evaluation, label)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Retrained:
    """One candidate's outcome by real training, for the one label that it was trained with.

    Attributes:
      outputs: of the retrained network at the evaluation points, ``[E, C]``.
      logits: f(x_j) of the network, ``[C]``.
    """

    outputs: Array
    logits: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """The outputs that training left."""
        del evaluation, label
        return self.outputs

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖f⁺(x) − f(x)‖₂."""
        return _total_change(self, evaluation, label)


def entropy(logits: Array) -> Array:
    """Entropy of softmax, in nats, ``[..., C]`` to ``[...]``."""
    # One exponential for each logit: they are nearly all of the cost of EER.
    shifted = logits - logits.max(-1, keepdims=True)
    weights = jnp.exp(shifted)
    total = weights.sum(-1)
    return jnp.log(total) - (weights * shifted).sum(-1) / total


def _step(mean: Array, label: Array) -> Array:
    """e_j = y − mean(x_j), ``[C]``."""
    return jax.nn.one_hot(label, mean.shape[-1], dtype=mean.dtype) - mean


def _total_change(outcome: Outcome, evaluation: Evaluation, label: Array) -> Array:
    before = evaluation.mean - evaluation.offset
    return jnp.linalg.norm(outcome.after(evaluation, label) - before, axis=1).sum()


def _dot(a: Array, b: Array) -> Array:
    # Under a caller's own jit these are float32, which recent GPUs would round to TF32.
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
