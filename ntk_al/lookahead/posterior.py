"""The network linearized around itself and retrained on its labels: a Gaussian-process posterior.

Retraining to convergence is kernel regression on the residual (Eq. 11 of the paper). Conditioning
once on the labeled set gives a mean and a covariance at any query points Q:

    mean(x)  = f(x) + Θ(x, L) A⁻¹ R
    S(x, x') = Θ(x, x') − Θ(x, L) A⁻¹ Θ(L, x')

Each further label is a rank-one update of both, so nothing has to be factorized again. Errors of
float32 would add up from label to label, so both stay in float64 where the device has it.

Eq. 12 of the paper is printed as v = Θ(L, L) Θ(L, x'), without an inverse. The correct equation is
v = Θ(L, L)⁻¹ Θ(L, x').
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, float64
from ntk_al.lookahead.factorization import Conditioned, covariance, factorize
from ntk_al.lookahead.ridges import PAPER
from ntk_al.types import Array, ArrayLike, GramBlocks

_RAISED = 1.01  # a variance that is raised by less is that of a point and of its copy


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Posterior:
    """The retrained linearized network at the query points.

    ``condition`` makes it from a kernel, and ``observe`` adds labels to it. Like ``Factor``, it is
    in float64 if the device supports that, even where the default float dtype is float32; a program
    of your own under ``jax.jit`` computes with it in the dtype that it has.

    Attributes:
      mean: outputs after retraining, ``[Q, C]``.
      covariance: S(Q, Q), shared by all classes, ``[Q, Q]``.
      logits: f(Q) of the network that was linearized, ``[Q, C]``.
      noise: λ, which is added to S_jj when point j is labeled.
      ridge: the ridge that was used.
      condition_number: an estimate of the condition number of A.
      prior: diag Θ(Q, Q), the variances before any label, ``[Q]``. Rounding errors of S are
        proportional to them.
      rounding: the relative rounding error of the kernel's entries, 1.2e-7 if they are in float32.
      ignored: how many labels ``observe`` has left out under ``jax.jit``, because their row or
        their class was out of range; outside, they are errors.
      floored: how many labels had a variance S_jj + λ that the errors of the kernel do not allow,
        see ``observe``. If it is not zero, the ranking is partly one of rounding errors.
    """

    mean: Array
    covariance: Array
    logits: Array
    noise: Array
    ridge: Array
    condition_number: Array
    prior: ArrayLike = dataclasses.field(default_factory=lambda: np.zeros((), np.float32))
    rounding: ArrayLike = dataclasses.field(default_factory=lambda: np.zeros((), np.float32))
    ignored: ArrayLike = dataclasses.field(default_factory=lambda: np.zeros((), np.int32))
    floored: ArrayLike = dataclasses.field(default_factory=lambda: np.zeros((), np.int32))

    @property
    def offset(self) -> Array:
        """b(x) = mean(x) − f(x), by how much retraining moves the outputs, ``[Q, C]``."""
        return self.mean - self.logits

    def observe(
        self, index: ArrayLike | int, label: ArrayLike | int, *, move_network: bool = False
    ) -> Posterior:
        """Returns the posterior after query points are labeled.

        Each label is a rank-one update (Eq. 11 and 12); nothing is factorized again. With noise of
        variance λ in every label, S(x, x_j)² ≤ (S(x, x) + λ)(S_jj + λ). If λ is smaller than the
        rounding errors of the kernel, these break the inequality. S_jj + λ is then raised until it
        holds, so that errors do not grow without bound, and ``floored`` counts the label.

        Under ``jax.jit``, rows and labels are not known yet and cannot be refused. A row or a class
        that is out of range, or a target that is not finite, then leaves the posterior as it is,
        and ``ignored`` counts it.

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
          ValueError: if shapes do not match, an index is outside 0..Q−1, a class id is outside
            0..C−1, or the posterior is no longer finite.

        Warns:
          UserWarning: if a label was floored.

        Examples:
          >>> theta = GramBlocks.square(jnp.eye(1), jnp.zeros((1, 2)), jnp.eye(2))
          >>> belief = condition(theta, jnp.zeros((1, 2)), jnp.zeros((2, 2)), ridge=0.0)
          >>> belief.observe(index=0, label=1).mean.tolist()  # the points are uncorrelated
          [[0.0, 1.0], [0.0, 0.0]]
        """
        observed = observations(index, label, *self.mean.shape)
        return absorb(self, observed, move_network=move_network)


class Observations(NamedTuple):
    """The labels of B query points.

    Attributes:
      rows: their rows, ``[B]``.
      targets: their targets, ``[B, C]``.
      valid: whether row and target can be used, ``[B]``; false only for traced values.
    """

    rows: ArrayLike
    targets: Array
    valid: ArrayLike


def observations(
    index: ArrayLike | int, label: ArrayLike | int, num_points: int, num_classes: int
) -> Observations:
    """Checks the arguments of ``observe`` and turns labels into targets.

    Args:
      index: a row, or ``[B]`` rows.
      label: class ids or real-valued targets, as for ``Posterior.observe``.
      num_points: Q.
      num_classes: C.

    Raises:
      TypeError: if a row is not an integer.
      ValueError: if there is no row, a row is outside 0..Q−1, or the labels do not match the rows.
    """
    indices, labels = _on_host(index), _on_host(label)
    if indices.ndim == 0:
        indices, labels = indices[None], labels[None]
    if indices.ndim != 1 or len(indices) == 0:
        raise ValueError(f"index must be a row or a list of rows, got shape {indices.shape}")
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"index must be rows, as integers, got dtype {indices.dtype}")
    with float64.widest(indices, labels):  # a target in float64 is not rounded
        targets = checks.targets("label", labels, len(indices), num_classes)
    if not checks.is_traced(indices):
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= num_points:
            raise ValueError(f"index must be in 0..{num_points - 1}, got {low}..{high}")
    valid = np.ones(len(indices), bool)
    if checks.is_traced(indices):
        valid = valid & (indices >= 0) & (indices < num_points)
    if checks.is_traced(labels):
        valid = valid & jnp.isfinite(targets).all(1)
        if labels.ndim == 1:
            valid = valid & (labels >= 0) & (labels < num_classes)
    return Observations(indices.astype(np.int32), targets, valid)


def _on_host(value: ArrayLike | int) -> ArrayLike:
    """Returns known values as a NumPy array, for whose shape nothing is compiled."""
    return np.asarray(jax.device_get(value)) if not checks.is_traced(value) else jnp.asarray(value)


def absorb(
    posterior: Posterior, observed: Observations, *, move_network: bool = False
) -> Posterior:
    """``Posterior.observe`` of checked labels."""
    with float64.as_in(posterior):
        after, is_finite = _observe(posterior, *observed)
        if move_network:
            moved = posterior.logits + (after.mean - posterior.mean)
            after = dataclasses.replace(after, logits=moved)
    if checks.is_traced(after):
        return after
    is_finite, *floored, ridge = jax.device_get(
        (is_finite, posterior.floored, after.floored, posterior.ridge)
    )
    cure = (
        f"The ridge, {ridge:.3g}, is smaller than the rounding errors of the kernel: choose a "
        "larger one, such as 1e-4, or compute the kernel in a higher precision"
    )
    if not is_finite:
        raise ValueError(f"the posterior is not finite after {len(observed.rows)} labels. {cure}")
    if floored[1] > floored[0]:
        warnings.warn(
            f"{floored[1] - floored[0]} of {len(observed.rows)} labels have a posterior variance "
            f"that is lost in rounding errors, so the ranking is not reliable. {cure}",
            stacklevel=3,
        )
    return after


def condition(
    blocks: GramBlocks, residual: ArrayLike, logits: ArrayLike, *, ridge: float = PAPER
) -> Posterior:
    """Conditions on the labeled set: Eq. 11 of the paper before any candidate is added.

    Args:
      blocks: the kernel of the labeled points and the query points, where the query points are both
        candidates and evaluation points: ``kernels.blocks`` without ``x_eval``.
      residual: R = Y − f(X_L), ``[L, C]``.
      logits: f at the query points, ``[Q, C]``.
      ridge: λ divided by the mean of diag Θ(L, L), see ``factorize``.

    Returns:
      The posterior at the query points, in float64 if the device supports that.

    Raises:
      ValueError: if the blocks have a separate evaluation set, shapes do not match, or values are
        not finite; see also ``factorize``.

    Examples:
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


def at_points(
    factor: Conditioned, cross: ArrayLike, theta: ArrayLike, logits: ArrayLike
) -> Posterior:
    """Computes the posterior at query points from the labeled set.

    Args:
      factor: the labeled set, from ``factorize`` or ``conditioned``.
      cross: Θ(L, Q), ``[L, Q]``.
      theta: Θ(Q, Q), ``[Q, Q]``.
      logits: f at the query points, ``[Q, C]``.
    """
    points = factor.at(cross, logits)
    with float64.widest(points, theta) as dtype:
        prior = jnp.asarray(float64.here(theta.diagonal()), dtype)
        rounding = jnp.asarray(_epsilon(theta.dtype), dtype)
    belief = Posterior(
        mean=points.mean,
        covariance=covariance(points, points, theta),
        logits=points.logits,
        noise=factor.noise,
        ridge=factor.ridge,
        condition_number=factor.condition_number,
        prior=prior,
        rounding=rounding,
        ignored=jnp.zeros((), np.int32),
        floored=jnp.zeros((), np.int32),
    )
    if not checks.is_traced(belief) and not _all_finite(belief):
        raise ValueError(
            "the posterior at the query points is not finite, but the factor of the labeled set "
            "is: the kernel or the logits of the query points are NaN, infinite or too large. "
            "Normalize the inputs, or retrain the network with a lower learning rate"
        )
    return belief


def label_variance(variance: Array, noise: Array, prior: ArrayLike) -> Array:
    """S_jj + λ, which is at least what rounding leaves of the prior variance Θ_jj, if S_jj is zero.

    Args:
      variance: S_jj, ``[U]``.
      noise: λ.
      prior: Θ_jj, ``[U]``.
    """
    return jnp.maximum(jnp.maximum(variance, 0) + noise, _smallest(variance.dtype) * prior)


def gain(covariance: Array, label_variance: Array) -> Array:
    """w(x, j) = S(x, x_j) / (S_jj + λ): how far labeling x_j moves the mean at x, per unit of e_j.

    If the labels already determine a point, λ and the rounding errors of the kernel keep the
    quotient finite, and if these are zero, too, the gain is set to zero.

    Args:
      covariance: S(x, x_j), ``[..., U]``.
      label_variance: S_jj + λ, ``[U]``.

    Returns:
      ``[..., U]``.
    """
    missing = tuple(range(covariance.ndim - label_variance.ndim))
    label_variance = jnp.expand_dims(label_variance, missing)
    positive = label_variance > 0
    return jnp.where(positive, covariance / jnp.where(positive, label_variance, 1), 0)


def _smallest(dtype: jnp.dtype) -> float:
    """A share of the prior variance that arithmetic cannot tell from zero."""
    return 8 * float(jnp.finfo(dtype).eps)


def _epsilon(dtype: jnp.dtype) -> float:
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.inexact) else 0.0


@jax.jit
def _observe(
    posterior: Posterior, rows: Array, targets: Array, valid: Array
) -> tuple[Posterior, Array]:
    """Returns the posterior after B labels, and whether it is finite."""
    num_points = len(posterior.mean)
    dtype = jnp.promote_types(posterior.mean.dtype, posterior.covariance.dtype)
    noise = posterior.noise.astype(dtype)
    prior = jnp.broadcast_to(posterior.prior, num_points).astype(dtype)
    smallest = posterior.rounding.astype(dtype) * prior

    def rank_one(
        state: tuple[Array, Array], observation: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        mean, s = state
        j, y, is_valid = observation
        column, variance = s[:, j], s[j, j] + noise
        # With noise λ in every label, S(x, x_j)² ≤ (S(x, x) + λ)(S_jj + λ) at all points x.
        of_points = jnp.maximum(jnp.diagonal(s) + noise, smallest)
        least = gain(jnp.square(column), of_points).max()
        used = jnp.maximum(jnp.maximum(variance, least), _smallest(dtype) * prior[j])
        w = jnp.where(is_valid, gain(column, used), 0)
        step = jnp.where(is_valid, y - mean[j], 0)
        after = mean + jnp.outer(w, step), s - jnp.outer(w, column)
        is_finite = (
            jnp.isfinite(after[0]).all() & jnp.isfinite(w).all() & jnp.isfinite(column).all()
        )
        return after, (is_finite, is_valid & (least > _RAISED * variance))

    (mean, s), (is_finite, floored) = jax.lax.scan(
        rank_one,
        (posterior.mean.astype(dtype), posterior.covariance.astype(dtype)),
        (jnp.clip(rows, 0, num_points - 1), targets.astype(dtype), valid),
    )
    after = dataclasses.replace(
        posterior,
        mean=mean,
        covariance=s,
        ignored=posterior.ignored + (~valid).sum(dtype=np.int32),
        floored=posterior.floored + floored.sum(dtype=np.int32),
    )
    return after, is_finite.all()


@jax.jit
def _all_finite(posterior: Posterior) -> Array:
    return jnp.isfinite(posterior.mean).all() & jnp.isfinite(posterior.covariance).all()
