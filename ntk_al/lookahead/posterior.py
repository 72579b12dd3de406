"""The network linearized around itself and retrained on its labels: a Gaussian-process posterior.

Retraining to convergence is kernel regression on the residual (Eq. 11 of the paper). Conditioning
once on the labeled set gives a mean and a covariance at any query points Q:

    mean(x)  = f(x) + Θ(x, L) A⁻¹ R
    S(x, x') = Θ(x, x') − Θ(x, L) A⁻¹ Θ(L, x')

Each further label is a rank-one update of both, so nothing has to be factorized again.

Eq. 12 of the paper is printed as v = Θ(L, L) Θ(L, x'), without an inverse. The correct equation is
v = Θ(L, L)⁻¹ Θ(L, x').
"""

from __future__ import annotations

import dataclasses
import logging
import warnings

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, float64
from ntk_al.types import Array, ArrayLike, GramBlocks

_log = logging.getLogger(__name__)

RIDGE = 1e-4
"""The default ridge, which is λ divided by the mean of diag Θ(L, L)."""

_LARGEST_RIDGE = 1.0
_SMALLEST_RETRY = 1e-8
_POWER_ITERATIONS = 50


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
        with float64.widest(self, cross, logits) as dtype:
            return _at(self, jnp.asarray(cross, dtype), jnp.asarray(logits, dtype))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Points:
    """The posterior at N points, without their covariance.

    Attributes:
      logits: f(x) of the network, ``[N, C]``.
      mean: outputs of the linearized network after retraining, ``[N, C]``.
      whitened: K⁻¹Θ(L, x) with the Cholesky factor K of A, ``[L, N]``. The covariance follows from
        it as S(x, x') = Θ(x, x') − whitened(x)ᵀ whitened(x').
    """

    logits: Array
    mean: Array
    whitened: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Posterior:
    """The retrained linearized network at the query points.

    ``condition`` makes it from a kernel, and ``observe`` adds labels to it.

    Attributes:
      mean: outputs after retraining, ``[Q, C]``.
      covariance: S(Q, Q), shared by all classes, ``[Q, Q]``.
      logits: f(Q) of the network that was linearized, ``[Q, C]``.
      noise: λ, which is added to S_jj when point j is labeled.
      ridge: the ridge that was used.
      condition_number: an estimate of the condition number of A.
    """

    mean: Array
    covariance: Array
    logits: Array
    noise: Array
    ridge: Array
    condition_number: Array

    @property
    def offset(self) -> Array:
        """b(x) = mean(x) − f(x), by how much retraining moves the outputs, ``[Q, C]``."""
        return self.mean - self.logits

    def observe(
        self, index: ArrayLike | int, label: ArrayLike | int, *, move_network: bool = False
    ) -> Posterior:
        """Returns the posterior after query points are labeled.

        Each label is a rank-one update (Eq. 11 and 12); nothing is factorized again.

        Args:
          index: the row of the labeled query point, or ``[B]`` rows.
          label: its class id or its real-valued target ``[C]``; for several rows ``[B]`` or
            ``[B, C]``.
          move_network: if true, ``logits`` move by the same step as the mean, as if the network had
            been trained on the label. Later changes are then measured from the moved logits.

        Returns:
          The posterior at the same Q points.

        Raises:
          TypeError: if an index is not an integer.
          ValueError: if shapes do not match, an index is outside 0..Q−1, or a class id is outside
            0..C−1. Traced indices and labels are not checked.

        Example:
          >>> theta = GramBlocks.square(jnp.eye(1), jnp.zeros((1, 2)), jnp.eye(2))
          >>> belief = condition(theta, jnp.zeros((1, 2)), jnp.zeros((2, 2)), ridge=0.0)
          >>> belief.observe(index=0, label=1).mean.tolist()  # the points are uncorrelated
          [[0.0, 1.0], [0.0, 0.0]]
        """
        indices, targets = observations(index, label, *self.mean.shape)
        after = _observe(self, indices, targets.astype(self.mean.dtype))
        if not move_network:
            return after
        return dataclasses.replace(after, logits=self.logits + (after.mean - self.mean))


def observations(
    index: ArrayLike | int, label: ArrayLike | int, num_points: int, num_classes: int
) -> tuple[Array, Array]:
    """Checks the arguments of ``observe`` and turns labels into targets.

    Args:
      index: a row, or ``[B]`` rows.
      label: class ids or real-valued targets, as for ``Posterior.observe``.
      num_points: Q.
      num_classes: C.

    Returns:
      Rows ``[B]`` and targets ``[B, C]``.

    Raises:
      TypeError: if a row is not an integer.
      ValueError: if there is no row, a row is outside 0..Q−1, or the labels do not match the rows.
    """
    indices = jnp.atleast_1d(jnp.asarray(index))
    if indices.ndim != 1 or len(indices) == 0:
        raise ValueError(f"index must be a row or a list of rows, got shape {indices.shape}")
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"index must be rows, as integers, got dtype {indices.dtype}")
    labels = jnp.asarray(label)
    if jnp.ndim(index) == 0:
        labels = labels[None]
    targets = checks.targets("label", labels, len(indices), num_classes)
    if not checks.is_traced(indices):
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= num_points:
            raise ValueError(f"index must be in 0..{num_points - 1}, got {low}..{high}")
    return indices, targets


def factorize(labeled: ArrayLike, residual: ArrayLike, *, ridge: float = RIDGE) -> Factor:
    """Factorizes A = Θ(L, L) + λI with λ = ridge × mean diag Θ(L, L).

    If A is not numerically positive definite, the ridge is multiplied by ten until it is.

    Args:
      labeled: Θ(L, L), ``[L, L]``.
      residual: R = Y − f(X_L), ``[L, C]``.
      ridge: λ divided by the mean of diag Θ(L, L), at least 0.

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
    with float64.widest(labeled, residual, ridge) as dtype:
        factor = _factorize(jnp.asarray(labeled, dtype), jnp.asarray(residual, dtype), ridge)
    if not checks.is_traced(factor) and not bool(jnp.isfinite(factor.cholesky).all()):
        raise ValueError(
            "the kernel of the labeled set is not positive definite even with a ridge of "
            f"{float(factor.ridge):g}. Likely causes: the network has diverged (NaN), its "
            "gradients are all zero (a dead network), or the matrix given is not a kernel. "
            "Retrain with a lower learning rate, or inspect its eigenvalues with "
            "jnp.linalg.eigvalsh."
        )
    if not checks.is_traced(factor, ridge):
        used, number = float(factor.ridge), float(factor.condition_number)
        _log.info("%d labels: ridge %.3g, condition number about %.3g", len(residual), used, number)
        if used > 1.01 * ridge:
            warnings.warn(
                f"the kernel of the labeled set is not positive definite with ridge={ridge:g}, so "
                f"{used:.3g} is used. Duplicate labeled examples and low precision can cause this",
                stacklevel=2,
            )
    return factor


def condition(
    blocks: GramBlocks, residual: ArrayLike, logits: ArrayLike, *, ridge: float = RIDGE
) -> Posterior:
    """Conditions on the labeled set: Eq. 11 of the paper before any candidate is added.

    Args:
      blocks: the kernel of the labeled points and the query points, where the query points are both
        candidates and evaluation points: ``kernels.blocks`` without ``x_eval``.
      residual: R = Y − f(X_L), ``[L, C]``.
      logits: f at the query points, ``[Q, C]``.
      ridge: λ divided by the mean of diag Θ(L, L), see ``factorize``.

    Returns:
      The posterior at the query points. It is computed in float64 if the device supports that, and
      returned in the default float dtype.

    Raises:
      ValueError: if the blocks have a separate evaluation set, shapes do not match, or values are
        not finite; see also ``factorize``.

    Example:
      Only the first of two query points is correlated with the one labeled point.

      >>> theta = GramBlocks.square(jnp.eye(1), jnp.array([[0.5, 0.0]]), jnp.eye(2))
      >>> belief = condition(theta, jnp.array([[1.0, -1.0]]), jnp.zeros((2, 2)), ridge=0.0)
      >>> belief.mean.tolist()
      [[0.5, -0.5], [0.0, 0.0]]
      >>> belief.covariance.tolist()
      [[0.75, 0.0], [0.0, 1.0]]
    """
    num_query = blocks.labeled_pool.shape[1]
    if blocks.eval_pool.shape != (num_query, num_query):
        raise ValueError(
            "condition needs the kernel of the query points with themselves, "
            f"{(num_query, num_query)}, got {blocks.eval_pool.shape}: make blocks without x_eval"
        )
    if residual.ndim != 2 or logits.shape != (num_query, residual.shape[1]):
        raise ValueError(
            "condition takes residual = Y − f(X_L) as [L, C] and logits as [Q, C] with Q = "
            f"{num_query}, got shapes {residual.shape} and {logits.shape}"
        )
    checks.finite("residual", residual)
    checks.finite("logits", logits)
    factor = factorize(blocks.labeled, residual, ridge=ridge)
    points = factor.at(blocks.labeled_pool, logits)
    return float64.to_default(
        Posterior(
            mean=points.mean,
            covariance=covariance(points, points, blocks.eval_pool),
            logits=points.logits,
            noise=factor.noise,
            ridge=factor.ridge,
            condition_number=factor.condition_number,
        )
    )


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
        return _covariance(points1.whitened, points2.whitened, jnp.asarray(theta, dtype))


def variance(points: Points, diagonal: ArrayLike) -> Array:
    """The diagonal of S(x, x), ``[N]``, computed from diag Θ(x, x), ``[N]``."""
    with float64.widest(points, diagonal) as dtype:
        return jnp.asarray(diagonal, dtype) - jnp.square(points.whitened).sum(0)


def gain(covariance: Array, variance: Array, noise: Array) -> Array:
    """w(x, j) = S(x, x_j) / (S_jj + λ): how far labeling x_j moves the mean at x, per unit of e_j.

    If the labels already determine a point, its S_jj is zero up to rounding of either sign. Then λ
    keeps the quotient finite, and if λ is zero, too, the gain is set to zero.

    Args:
      covariance: S(x, x_j), ``[..., U]``.
      variance: S_jj, ``[U]``.
      noise: λ.

    Returns:
      ``[..., U]``.
    """
    denominator = jnp.maximum(variance, 0) + noise
    positive = denominator > 0
    return jnp.where(positive, covariance / jnp.where(positive, denominator, 1), 0)


@jax.jit
def _factorize(theta: Array, residual: Array, ridge: Array) -> Factor:
    mean_diagonal = jnp.diagonal(theta).mean()
    identity = jnp.eye(len(theta), dtype=theta.dtype)
    ridge = jnp.asarray(ridge, theta.dtype)

    def cholesky(ridge: Array) -> Array:
        return jnp.linalg.cholesky(theta + ridge * mean_diagonal * identity)

    def failed(state: tuple[Array, Array]) -> Array:
        # JAX's Cholesky silently returns NaN if the matrix is not positive definite.
        ridge, factor = state
        return ~jnp.isfinite(factor).all() & (ridge < _LARGEST_RIDGE)

    def retry(state: tuple[Array, Array]) -> tuple[Array, Array]:
        ridge = jnp.maximum(10 * state[0], _SMALLEST_RETRY)
        return ridge, cholesky(ridge)

    ridge, factor = jax.lax.while_loop(failed, retry, (ridge, cholesky(ridge)))
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
    start = jax.random.normal(jax.random.key(0), (len(a),), a.dtype)

    def largest(_: int, v: Array) -> Array:
        v = _matmul(a, v)
        return v / jnp.linalg.norm(v)

    def smallest(_: int, v: Array) -> Array:
        v = jax.scipy.linalg.cho_solve((cholesky, True), v)
        return v / jnp.linalg.norm(v)

    high = jax.lax.fori_loop(0, _POWER_ITERATIONS, largest, start)
    low = jax.lax.fori_loop(0, _POWER_ITERATIONS, smallest, start)
    return _matmul(high, _matmul(a, high)) / _matmul(low, _matmul(a, low))


@jax.jit
def _at(factor: Factor, cross: Array, logits: Array) -> Points:
    whitened = jax.scipy.linalg.solve_triangular(factor.cholesky, cross, lower=True)
    return Points(
        logits=logits, mean=logits + _matmul(whitened.T, factor.residual), whitened=whitened
    )


@jax.jit
def _covariance(whitened1: Array, whitened2: Array, theta: Array) -> Array:
    return theta - _matmul(whitened1.T, whitened2)


@jax.jit
def _observe(posterior: Posterior, indices: Array, targets: Array) -> Posterior:
    def rank_one(
        state: tuple[Array, Array], observation: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], None]:
        mean, s = state
        j, y = observation
        w = gain(s[:, j], s[j, j], posterior.noise)
        return (mean + jnp.outer(w, y - mean[j]), s - jnp.outer(w, s[:, j])), None

    (mean, s), _ = jax.lax.scan(
        rank_one, (posterior.mean, posterior.covariance), (indices, targets)
    )
    return dataclasses.replace(posterior, mean=mean, covariance=s)


def _matmul(a: Array, b: Array) -> Array:
    # Recent GPUs would round float32 operands to TF32 unless told otherwise.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
