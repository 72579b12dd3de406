"""Criteria: the step that a label would cause, turned into a number.

A criterion sees one candidate; ``lookahead`` maps it over all of them. To add one, add a function
and a row in ``CRITERIA``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The points at which a change is measured, before any candidate is labeled.

    Attributes:
      mean: outputs of the retrained linearised network, ``[E, C]``.
      offset: mean − f, ``[E, C]``; zero where changes are measured from the mean itself.
    """

    mean: Array
    offset: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Candidates:
    """The step that each candidate would cause. Criteria see one of them, without the axis U.

    Attributes:
      gain: w(x, j) at every evaluation point, ``[U, E]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, which gives the pseudo-label and p(y | x_j), ``[U, C]``.
    """

    gain: Array
    mean: Array
    logits: Array

    def step(self, label: Array) -> Array:
        """e_j = y − mean(x_j) for a class id, ``[C]``."""
        return jax.nn.one_hot(label, self.mean.shape[-1], dtype=self.mean.dtype) - self.mean


Criterion = Callable[[Evaluation, Candidates], Array]
"""The score of one candidate: gain ``[E]``, mean and logits ``[C]``; higher is queried first."""


def mlmoc(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Most likely model output change, Eq. 13: Σ_x ‖b(x) + w(x, j) e_j‖₂, y = argmax f(x_j)."""
    return _output_change(evaluation, candidate, jnp.argmax(candidate.logits))


def emoc(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Expected model output change, Eq. 3 with the L2 distance: E over y ~ softmax f(x_j)."""
    change = functools.partial(_output_change, evaluation, candidate)
    return jax.nn.softmax(candidate.logits) @ _for_each_class(change, candidate)


def eer(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Expected error reduction, Eq. 2: − E over y of Σ_x entropy(softmax mean⁺(x)).

    No change of outputs is measured, so the reference does not enter.
    """

    def entropy_after(label: Array) -> Array:
        after = evaluation.mean + jnp.outer(candidate.gain, candidate.step(label))
        return entropy(after).sum()

    return -jax.nn.softmax(candidate.logits) @ _for_each_class(entropy_after, candidate)


def flips(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Number of evaluation points whose argmax changes, y = argmax f(x_j).

    The objective of the authors' released code, where the paper prints Eq. 13.
    """
    step = candidate.step(jnp.argmax(candidate.logits))
    after = evaluation.mean + jnp.outer(candidate.gain, step)
    before = evaluation.mean - evaluation.offset
    return (after.argmax(1) != before.argmax(1)).sum().astype(after.dtype)


CRITERIA: dict[str, Criterion] = {"mlmoc": mlmoc, "emoc": emoc, "eer": eer, "flips": flips}


def entropy(logits: Array) -> Array:
    """Entropy of softmax, in nats, ``[..., C]`` to ``[...]``."""
    # One exponential for each logit: they are nearly all of the cost of EER.
    shifted = logits - logits.max(-1, keepdims=True)
    weights = jnp.exp(shifted)
    total = weights.sum(-1)
    return jnp.log(total) - (weights * shifted).sum(-1) / total


def _for_each_class(function: Callable[[Array], Array], candidate: Candidates) -> Array:
    return jax.lax.map(function, jnp.arange(candidate.mean.shape[-1]))


def _output_change(evaluation: Evaluation, candidate: Candidates, label: Array) -> Array:
    """Σ_x ‖b(x) + w(x, j) e_j‖₂ with the square expanded, so that nothing of size E·C is built."""
    b, w, e = evaluation.offset, candidate.gain, candidate.step(label)
    squared = jnp.square(b).sum(1) + 2 * w * _dot(b, e) + jnp.square(w) * _dot(e, e)
    return jnp.sqrt(jnp.maximum(squared, 0)).sum()


def _dot(a: Array, b: Array) -> Array:
    # Under a caller's own jit these are float32, which recent GPUs would round to TF32.
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
