"""Conditioning on the labeled set: the factorized kernel, and what it says of other points.

    mean(x)  = f(x) + Θ(x, L) A⁻¹ R
    S(x, x') = Θ(x, x') − Θ(x, L) A⁻¹ Θ(L, x')

with A = Θ(L, L) + λI, all through one Cholesky factor of A.
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, float64
from ntk_al._utils.products import product
from ntk_al.lookahead.ridges import PAPER
from ntk_al.types import Array, ArrayLike

_log = logging.getLogger(__name__)

_LARGEST_RIDGE = 1.0
_SMALLEST_RETRY = 1e-8
_POWER_ITERATIONS = 50


class Conditioned(Protocol):
    """What the posterior at any points follows from: a ``Factor``, or an iterative solution."""

    @property
    def noise(self) -> Array:
        """λ."""

    @property
    def ridge(self) -> Array:
        """λ divided by the mean of diag Θ(L, L)."""

    @property
    def condition_number(self) -> Array:
        """An estimate of the condition number of A, or of λ_max(A) / λ, which is no smaller."""

    def at(self, cross: ArrayLike, logits: ArrayLike) -> Points:
        """Returns the posterior at N points, without their covariance."""

    def at_sets(self, crosses: Sequence[ArrayLike], logits: Sequence[ArrayLike]) -> list[Points]:
        """Returns the posterior at the points of several sets."""

    def mean(self, cross: ArrayLike, logits: ArrayLike) -> Array:
        """Returns the mean of the posterior at N points, ``[N, C]``."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factor:
    """The factorized kernel of the labeled set, which every query point reuses.

    Like ``Points``, it is in float64 if the device supports that.

    Attributes:
      cholesky: lower Cholesky factor K of A, ``[L, L]``.
      residual: K⁻¹R, ``[L, C]``.
      noise: λ.
      ridge: the ridge that was used: the requested one, or a larger one if A was not positive
        definite.
      condition_number: a lower estimate of the condition number λ_max(A) / λ_min(A).
    """

    cholesky: Array
    residual: Array
    noise: Array
    ridge: Array
    condition_number: Array

    def at(self, cross: ArrayLike, logits: ArrayLike) -> Points:
        """Returns the posterior at N points x, without their covariance.

        Args:
          cross: Θ(L, x), ``[L, N]``.
          logits: f(x), ``[N, C]``.
        """
        with float64.widest(self, cross, logits):
            return _at(*float64.here((self, cross, logits)))

    def at_sets(self, crosses: Sequence[ArrayLike], logits: Sequence[ArrayLike]) -> list[Points]:
        """Returns the posterior at the points of several sets; arguments as for ``at``."""
        return [self.at(*of_set) for of_set in zip(crosses, logits, strict=True)]

    def mean(self, cross: ArrayLike, logits: ArrayLike) -> Array:
        """Returns the mean of the posterior at N points, ``[N, C]``; arguments as for ``at``."""
        return self.at(cross, logits).mean


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Points:
    """The posterior at N points, without their covariance.

    Attributes:
      logits: f(x) of the network, ``[N, C]``.
      mean: outputs of the linearized network after retraining, ``[N, C]``.
      whitened: K⁻¹Θ(L, x) with the Cholesky factor K of A, ``[L, N]``. The covariance follows from
        it as S(x, x') = Θ(x, x') − whitened(x)ᵀ dual(x').
      dual: ``None`` if it is ``whitened``. Conjugate gradients have no K and give two factors of
        another length instead, see ``conjugate_gradients``.
    """

    logits: Array
    mean: Array
    whitened: Array
    dual: Array | None = None

    @property
    def other(self) -> Array:
        """The second factor of Θ(x, L) A⁻¹ Θ(L, x')."""
        return self.whitened if self.dual is None else self.dual

    def take(self, rows: ArrayLike | slice) -> Points:
        """Returns some of the points."""
        dual = None if self.dual is None else self.dual[:, rows]
        return Points(self.logits[rows], self.mean[rows], self.whitened[:, rows], dual)


def factorize(
    labeled: ArrayLike,
    residual: ArrayLike,
    *,
    ridge: float = PAPER,
    num_labeled: int | None = None,
) -> Factor:
    """Factorizes A = Θ(L, L) + λI with λ = ridge × mean diag Θ(L, L).

    If A is not numerically positive definite, the ridge is multiplied by ten until it is.

    Args:
      labeled: Θ(L, L), ``[L, L]``.
      residual: R = Y − f(X_L), ``[L, C]``.
      ridge: λ divided by the mean of diag Θ(L, L), at least 0.
      num_labeled: how many rows are labeled points, if the others are zero, see ``padding``.

    Returns:
      The factor of A, from which ``Factor.at`` makes the posterior at any points.

    Raises:
      ValueError: if shapes do not match, or if A is not positive definite for any ridge up to 1.

    Warns:
      UserWarning: if the ridge was raised.
    """
    if labeled.ndim != 2 or labeled.shape != (len(residual),) * 2 or residual.ndim != 2:
        raise ValueError(
            "factorize takes labeled [L, L] and residual [L, C], "
            f"got shapes {labeled.shape} and {residual.shape}"
        )
    if not checks.is_traced(ridge):
        checks.at_least("ridge", ridge, 0)
    num_labeled = len(residual) if num_labeled is None else num_labeled
    with float64.widest(labeled, residual, ridge):
        factor = _factorize(*float64.here((labeled, residual)), ridge, num_labeled)
    if not checks.is_traced(factor) and not np.isfinite(np.asarray(factor.cholesky)).all():
        raise ValueError(
            "the kernel of the labeled set is not positive definite even with a ridge of "
            f"{float(factor.ridge):g}. Likely causes: the network has diverged (NaN), its "
            "gradients are all zero (a dead network), or the matrix given is not a kernel. "
            "Retrain with a lower learning rate, or inspect its eigenvalues with "
            "jnp.linalg.eigvalsh."
        )
    if not checks.is_traced(factor, ridge):
        used, number = float(factor.ridge), float(factor.condition_number)
        _log.info("%d labels: ridge %.3g, condition number about %.3g", num_labeled, used, number)
        if used > 1.01 * ridge:
            warnings.warn(
                f"the kernel of the labeled set is not positive definite with ridge={ridge:g}, so "
                f"{used:.3g} is used. Duplicate labeled examples and low precision can cause this",
                stacklevel=2,
            )
    return factor


def covariance(points1: Points, points2: Points, theta: ArrayLike) -> Array:
    """S(x1, x2) = Θ(x1, x2) − Θ(x1, L) A⁻¹ Θ(L, x2).

    Args:
      points1: N1 points from ``Factor.at``.
      points2: N2 points from the same factor.
      theta: Θ(x1, x2), ``[N1, N2]``.

    Returns:
      ``[N1, N2]``.
    """
    with float64.widest(points1, points2, theta) as dtype:
        factors = points1.whitened, points2.other
        return _covariance(*float64.here(factors), jnp.asarray(float64.here(theta), dtype))


def variance(points: Points, diagonal: ArrayLike) -> Array:
    """The diagonal of S(x, x), ``[N]``, computed from diag Θ(x, x), ``[N]``."""
    with float64.widest(points, diagonal) as dtype:
        diagonal = jnp.asarray(float64.here(diagonal), dtype)
        if points.dual is None:
            return diagonal - jnp.square(float64.here(points.whitened)).sum(0)
        whitened, dual = float64.here((points.whitened, points.dual))
        return diagonal - (whitened * dual).sum(0)


@jax.jit
def _factorize(theta: Array, residual: Array, ridge: Array, num_labeled: Array) -> Factor:
    theta, residual = float64.to_default((theta, residual))
    mean_diagonal = jnp.diagonal(theta).sum() / num_labeled
    identity = jnp.eye(len(theta), dtype=theta.dtype)
    ridge = jnp.asarray(ridge, theta.dtype)
    # Padded rows get the mean of the diagonal, which no condition number notices.
    is_padding = jnp.arange(len(theta)) >= num_labeled
    theta = theta + jnp.diag(jnp.where(is_padding, mean_diagonal, 0))

    def cholesky(ridge: Array) -> Array:
        return jnp.linalg.cholesky(theta + ridge * mean_diagonal * identity)

    def failed(state: tuple[Array, Array, Array]) -> Array:
        # JAX's Cholesky silently returns NaN if the matrix is not positive definite.
        ridge, factor, is_first = state
        return ~jnp.isfinite(factor).all() & (is_first | (ridge < _LARGEST_RIDGE))

    def attempt(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        ridge, _, is_first = state
        ridge = jnp.where(is_first, ridge, jnp.maximum(10 * ridge, _SMALLEST_RETRY))
        return ridge, cholesky(ridge), jnp.array(False)

    # The loop begins with a failed attempt, so that the factorization is compiled only once.
    nothing = (ridge, jnp.full_like(theta, jnp.nan), jnp.array(True))
    ridge, factor, _ = jax.lax.while_loop(failed, attempt, nothing)
    noise = ridge * mean_diagonal
    return Factor(
        cholesky=factor,
        residual=jax.scipy.linalg.solve_triangular(factor, residual, lower=True),
        noise=noise,
        ridge=ridge,
        condition_number=_condition_number(theta + noise * identity, factor),
    )


def _condition_number(a: Array, cholesky: Array) -> Array:
    """λ_max from power iteration divided by λ_min from inverse iteration; never too large."""
    start = jnp.cos(jnp.arange(len(a), dtype=a.dtype))  # hardly orthogonal to any eigenvector

    def step(_: int, vectors: tuple[Array, Array]) -> tuple[Array, Array]:
        high, low = vectors
        high, low = product(a, high), jax.scipy.linalg.cho_solve((cholesky, True), low)
        return high / jnp.linalg.norm(high), low / jnp.linalg.norm(low)

    high, low = jax.lax.fori_loop(0, _POWER_ITERATIONS, step, (start, start))
    return product(high, product(a, high)) / product(low, product(a, low))


@jax.jit
def _at(factor: Factor, cross: Array, logits: Array) -> Points:
    cross, logits = float64.to_default((cross, logits))
    whitened = jax.scipy.linalg.solve_triangular(factor.cholesky, cross, lower=True)
    return Points(
        logits=logits, mean=logits + product(whitened.T, factor.residual), whitened=whitened
    )


@jax.jit
def _covariance(whitened: Array, other: Array, theta: Array) -> Array:
    return theta - product(whitened.T, other)
