"""Outcomes: what the network would become if one candidate were labeled, in three ways.

Criteria measure outcomes, and treat them alike: steps of the linearized network with one kernel for
all classes, or with a kernel for each pair of classes, and a network that was really retrained.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ntk_al.lookahead.criteria import Evaluation, Outcome
from ntk_al.lookahead.expected_norm import expected_norm
from ntk_al.types import Array

# Inside a caller's jit the operands are float32, which recent GPUs would round to TF32.
_HIGHEST = jax.lax.Precision.HIGHEST


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RankOne:
    """The rank-one step that each candidate would cause if all classes share a kernel (Eq. 11, 12).

    The arrays have a leading axis U. A criterion sees one candidate, so for it that axis is absent.

    Attributes:
      gain: w(x, j) at every evaluation point, ``[U, E]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, ``[U, C]``.
      variance: S_jj + λ, the variance of a label of x_j, ``[U]``.
    """

    gain: Array
    mean: Array
    logits: Array
    variance: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """mean⁺(x) = mean(x) + w(x, j) e_j."""
        return evaluation.mean + jnp.outer(self.gain, _step(self.mean, label))

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖b(x) + w(x, j) e_j‖₂; the square is expanded to avoid an [E, C] array."""
        b, w, e = evaluation.offset, self.gain, _step(self.mean, label)
        if b is None:
            return jnp.abs(w).sum() * jnp.linalg.norm(e)
        squared = jnp.square(b).sum(1) + 2 * w * _dot(b, e) + jnp.square(w) * _dot(e, e)
        return jnp.sqrt(jnp.maximum(squared, 0)).sum()

    def expected_output_change(self, evaluation: Evaluation) -> Array:
        """E Σ_x ‖b(x) + w(x, j) e‖₂ over e ~ N(0, (S_jj + λ) I)."""
        spread = self.variance * jnp.square(self.gain)[:, None]
        b = evaluation.offset
        squared = jnp.zeros_like(spread) if b is None else jnp.square(b).sum(1, keepdims=True)
        return expected_norm(squared, spread, copies=evaluation.mean.shape[1]).sum()

    def variance_removed(self) -> Array:
        """Σ_x w(x, j) S(x, x_j), the same for every output."""
        return self.variance * jnp.square(self.gain).sum()

    def information(self, evaluation: Evaluation) -> Array:
        """−½ Σ_x log(1 − ρ²) with ρ² = w(x, j)² (S_jj + λ) / (S_xx + λ), for each output."""
        v = _variance(evaluation)
        positive = v > 0
        explained = self.variance * jnp.square(self.gain) / jnp.where(positive, v, 1)
        return -jnp.log1p(-_less_than_one(jnp.where(positive, explained, 0))).sum() / 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RankC:
    """The step of each candidate if every pair of classes has its own kernel; axes as ``RankOne``.

    Attributes:
      gain: W(x, j) = S(x, x_j) (S_jj + λI)⁻¹ at every evaluation point, ``[U, E, C, C]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, ``[U, C]``.
      variance: S_jj + λI, the covariance of a label of x_j, ``[U, C, C]``.
    """

    gain: Array
    mean: Array
    logits: Array
    variance: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """mean⁺(x) = mean(x) + W(x, j) e_j."""
        return evaluation.mean + _dot(self.gain, _step(self.mean, label))

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖b(x) + W(x, j) e_j‖₂."""
        return _total_change(self, evaluation, label)

    def expected_output_change(self, evaluation: Evaluation) -> Array:
        """E Σ_x ‖b(x) + W(x, j) e‖₂ over e ~ N(0, S_jj + λI), along the principal axes of W e."""
        values, axes = jnp.linalg.eigh(self._spread())
        along = jnp.zeros_like(values)
        if evaluation.offset is not None:
            along = jnp.einsum("xca,xc->xa", axes, evaluation.offset, precision=_HIGHEST)
        return expected_norm(jnp.square(along), jnp.maximum(values, 0)).sum()

    def variance_removed(self) -> Array:
        """Σ_x tr W(x, j) S(x_j, x) / C."""
        return jnp.einsum("xcc->", self._spread()) / len(self.mean)

    def information(self, evaluation: Evaluation) -> Array:
        """−½ Σ_x log det(I − V_x⁻¹ W V_j Wᵀ) / C with V = S + λI, ``[C, C]``, by whitening."""
        values, axes = jnp.linalg.eigh(_variance(evaluation))
        positive = values > 0
        scale = jnp.where(positive, jax.lax.rsqrt(jnp.where(positive, values, 1)), 0)
        whitening = axes * scale[:, None]
        explained = jnp.einsum(
            "xca,xcd,xdb->xab", whitening, self._spread(), whitening, precision=_HIGHEST
        )
        squared_correlations = _less_than_one(jnp.linalg.eigvalsh(explained))
        return -jnp.log1p(-squared_correlations).sum() / (2 * len(self.mean))

    def _spread(self) -> Array:
        """W (S_jj + λI) Wᵀ at every evaluation point, ``[E, C, C]``."""
        return jnp.einsum(
            "xca,ab,xdb->xcd", self.gain, self.variance, self.gain, precision=_HIGHEST
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Retrained:
    """The outcome of really retraining with one candidate and one label for it.

    Attributes:
      outputs: outputs of the retrained network at the evaluation points, ``[E, C]``.
      logits: f(x_j) of the network before retraining, ``[C]``.
    """

    outputs: Array
    logits: Array

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """The outputs of the retrained network, ``[E, C]``."""
        del evaluation, label
        return self.outputs

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖f⁺(x) − f(x)‖₂."""
        return _total_change(self, evaluation, label)


def _variance(evaluation: Evaluation) -> Array:
    if evaluation.variance is None:
        raise ValueError("the evaluation points have no variance, without which there is no epig")
    return evaluation.variance


def _less_than_one(squared_correlations: Array) -> Array:
    """Undoes rounding, by which a copy of a candidate could be known better than exactly."""
    largest = 1 - jnp.finfo(squared_correlations.dtype).eps
    return jnp.clip(squared_correlations, 0, largest)


def _step(mean: Array, label: Array) -> Array:
    """e_j = y − mean(x_j), ``[C]``."""
    return jax.nn.one_hot(label, mean.shape[-1], dtype=mean.dtype) - mean


def _total_change(outcome: Outcome, evaluation: Evaluation, label: Array) -> Array:
    change = outcome.after(evaluation, label) - evaluation.reference
    return jnp.linalg.norm(change, axis=1).sum()


def _dot(a: Array, b: Array) -> Array:
    return jnp.dot(a, b, precision=_HIGHEST)
