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

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, float64
from ntk_al.lookahead.factorization import RIDGE, Factor, covariance, factorize
from ntk_al.types import Array, ArrayLike, GramBlocks


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
    return at_points(factor, blocks.labeled_pool, blocks.eval_pool, logits)


def at_points(factor: Factor, cross: ArrayLike, theta: ArrayLike, logits: ArrayLike) -> Posterior:
    """Computes the posterior at query points from the factorized kernel of the labeled set.

    Args:
      factor: from ``factorize``.
      cross: Θ(L, Q), ``[L, Q]``.
      theta: Θ(Q, Q), ``[Q, Q]``.
      logits: f at the query points, ``[Q, C]``.
    """
    points = factor.at(cross, logits)
    return float64.to_default(
        Posterior(
            mean=points.mean,
            covariance=covariance(points, points, theta),
            logits=points.logits,
            noise=factor.noise,
            ridge=factor.ridge,
            condition_number=factor.condition_number,
        )
    )


def label_variance(variance: Array, noise: Array) -> Array:
    """S_jj + λ; if the labels already determine a point, its S_jj is zero up to rounding."""
    return jnp.maximum(variance, 0) + noise


def gain(covariance: Array, variance: Array, noise: Array) -> Array:
    """w(x, j) = S(x, x_j) / (S_jj + λ): how far labeling x_j moves the mean at x, per unit of e_j.

    If the labels already determine a point, λ keeps the quotient finite, and if λ is zero, too, the
    gain is set to zero.

    Args:
      covariance: S(x, x_j), ``[..., U]``.
      variance: S_jj, ``[U]``.
      noise: λ.

    Returns:
      ``[..., U]``.
    """
    denominator = label_variance(variance, noise)
    positive = denominator > 0
    return jnp.where(positive, covariance / jnp.where(positive, denominator, 1), 0)


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
