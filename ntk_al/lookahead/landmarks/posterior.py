"""A posterior whose covariance is known at landmarks, and on its diagonal.

    S(x, x') ≈ F(x) · F(x') for x ≠ x',    S(x, x) = ‖F(x)‖² + D(x)

F comes from the rows S(P, Q) of r landmarks P among the query points, F = S(Q, P) K⁻ᵀ with
K Kᵀ = S(P, P). Those rows and the diagonal are exact. This is the covariance of a Gaussian process
with inducing points (Snelson and Ghahramani 2006, "Sparse Gaussian processes using pseudo-inputs",
NIPS 18), made after the labels have been conditioned on exactly.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, float64
from ntk_al.lookahead.posterior import Observations, gain, label_variance, observations
from ntk_al.types import Array, ArrayLike


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LandmarkPosterior:
    """The retrained linearized network at the query points, with a covariance of low rank.

    Attributes:
      mean: outputs after retraining, ``[Q, C]``.
      factor: F, ``[Q, r]``.
      remainder: D, what F leaves of the variances, at least 0, ``[Q]``.
      landmarks: P, rows of the query points, ``[r]``.
      points: rows of the evaluation points, or of a uniform sample of them that holds the
        landmarks, ``[E]``.
      logits: f(Q) of the network that was linearized, ``[Q, C]``.
      noise: λ, which is added to S_jj when point j is labeled.
      ridge: the ridge that was used.
      condition_number: an estimate of the condition number of A.
      prior: diag Θ(Q, Q), the variances before any label, ``[Q]``.
      trace_left: Σ D / Σ S_xx, the share of the variance that no landmark explains.
      agreement: the rank correlation of scores with those of half the landmarks, NaN if it was not
        measured.
      ignored: see ``posterior.Posterior``.
    """

    mean: Array
    factor: Array
    remainder: Array
    landmarks: Array
    points: Array
    logits: Array
    noise: Array
    ridge: Array
    condition_number: Array
    prior: Array
    trace_left: Array
    agreement: ArrayLike = dataclasses.field(default_factory=lambda: np.array(np.nan, np.float32))
    ignored: ArrayLike = dataclasses.field(default_factory=lambda: np.zeros((), np.int32))

    @property
    def offset(self) -> Array:
        """b(x) = mean(x) − f(x), by how much retraining moves the outputs, ``[Q, C]``."""
        return self.mean - self.logits

    @property
    def variance(self) -> Array:
        """S(x, x), ``[Q]``."""
        return jnp.square(self.factor).sum(1) + self.remainder

    def facts(self) -> dict[str, Any]:
        """Returns what is worth recording of the approximation."""
        agreement = float(self.agreement)
        return {
            "landmarks": len(self.landmarks),
            "trace_left": float(f"{self.trace_left:.4g}"),
            "agreement": None if np.isnan(agreement) else float(f"{agreement:.6g}"),
        }

    def observe(
        self, index: ArrayLike | int, label: ArrayLike | int, *, move_network: bool = False
    ) -> LandmarkPosterior:
        """Returns the posterior after query points are labeled.

        A label is the rank-one update of the approximate S, which keeps its form; nothing is
        approximated once more. Arguments and errors are those of ``posterior.Posterior.observe``.
        """
        observed = observations(index, label, *self.mean.shape)
        with float64.as_in(self):
            after = _observe(self, observed)
            if move_network:
                moved = self.logits + (after.mean - self.mean)
                after = dataclasses.replace(after, logits=moved)
        if not checks.is_traced(after) and not np.isfinite(np.asarray(after.mean)).all():
            raise ValueError(
                f"the posterior is not finite after {len(observed.rows)} labels. The ridge, "
                f"{float(self.ridge):.3g}, is smaller than the rounding errors of the kernel: "
                "choose a larger one, such as 1e-4"
            )
        return after


@jax.jit
def _observe(posterior: LandmarkPosterior, observed: Observations) -> LandmarkPosterior:
    dtype = posterior.factor.dtype
    noise, prior = posterior.noise.astype(dtype), posterior.prior.astype(dtype)

    def rank_one(
        state: tuple[Array, Array, Array], observation: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array, Array], None]:
        mean, factor, remainder = state
        j, y, is_valid = observation
        f_j = factor[j]
        column = jnp.matmul(factor, f_j, precision=jax.lax.Precision.HIGHEST)
        explained = column[j]  # ‖F_j‖²
        variance = explained + remainder[j]
        v = label_variance(variance, noise, prior[j])
        w = gain(column.at[j].set(variance), v)
        # Among the other points, S − s sᵀ / v = F M² Fᵀ with M = I − a F_j F_jᵀ. S(x, j) itself
        # shrinks by (v − S_jj) / v, and M alone would shrink it by q².
        q = jnp.sqrt(jnp.maximum(1 - gain(explained, v), 0))
        a = gain(jnp.ones_like(v), v * (1 + q))
        shrunk = gain(v - variance, v * q)
        after = (factor - a * jnp.outer(column, f_j)).at[j].set(shrunk * f_j)
        own = gain(variance * (v - variance), v) - jnp.square(shrunk) * explained
        state_after = (
            mean + jnp.outer(w, y - mean[j]),
            after,
            remainder.at[j].set(jnp.maximum(own, 0)),
        )
        kept = jax.tree.map(lambda new, old: jnp.where(is_valid, new, old), state_after, state)
        return kept, None

    rows = jnp.clip(jnp.asarray(observed.rows), 0, len(posterior.mean) - 1)
    valid = jnp.asarray(observed.valid)
    (mean, factor, remainder), _ = jax.lax.scan(
        rank_one,
        (posterior.mean.astype(dtype), posterior.factor, posterior.remainder),
        (rows, observed.targets.astype(dtype), valid),
    )
    return dataclasses.replace(
        posterior,
        mean=mean,
        factor=factor,
        remainder=remainder,
        ignored=posterior.ignored + (~valid).sum(dtype=np.int32),
    )
