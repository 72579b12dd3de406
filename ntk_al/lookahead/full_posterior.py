"""The posterior with a kernel for every pair of classes: LC × LC, for small problems.

The paper's approximation Θ ⊗ I_C gives every class the kernel of one scalar read-out. Without it
the outputs of one example are C points of one Gaussian process, so conditioning is that of
``posterior`` on N·C points with one output each, and a label is C observations at once.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ntk_al._utils import float64
from ntk_al.lookahead import posterior
from ntk_al.lookahead.posterior import RIDGE, Posterior
from ntk_al.types import Array, ArrayLike, GramBlocks


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FullPosterior:
    """As ``posterior.Posterior``, with S for every pair of outputs.

    Attributes:
      flat: the posterior of Q·C points with one output; output c of point q is its row q·C + c.
      logits: f(Q) of the network that was linearized, ``[Q, C]``.
    """

    flat: Posterior
    logits: Array

    @property
    def mean(self) -> Array:
        """Outputs after retraining, ``[Q, C]``."""
        return self.flat.mean.reshape(self.logits.shape)

    @property
    def offset(self) -> Array:
        """b(x) = mean(x) − f(x), ``[Q, C]``."""
        return self.mean - self.logits

    @property
    def covariance(self) -> Array:
        """S, ``[Q, C, Q, C]``."""
        return self.flat.covariance.reshape(self.logits.shape * 2)

    @property
    def noise(self) -> Array:
        """λ."""
        return self.flat.noise

    @property
    def ridge(self) -> Array:
        """The ridge that was used."""
        return self.flat.ridge

    @property
    def condition_number(self) -> Array:
        """Estimate for the matrix that was factorized."""
        return self.flat.condition_number

    def observe(
        self, index: ArrayLike | int, label: ArrayLike | int, *, move_network: bool = False
    ) -> FullPosterior:
        """The posterior after query points were labeled; see ``Posterior.observe``."""
        num_points, num_classes = self.logits.shape
        indices, targets = posterior.observations(index, label, num_points, num_classes)
        rows = (num_classes * indices[:, None] + jnp.arange(num_classes)).ravel()
        after = dataclasses.replace(self, flat=self.flat.observe(rows, targets.reshape(-1, 1)))
        if not move_network:
            return after
        return dataclasses.replace(after, logits=self.logits + (after.mean - self.mean))


def condition(
    blocks: GramBlocks, residual: ArrayLike, logits: ArrayLike, *, ridge: float = RIDGE
) -> FullPosterior:
    """Conditions on the labeled set: Eq. 11 of the paper with its full kernel.

    Args:
      blocks: as for ``posterior.condition``, of outputs: labeled ``[LC, LC]``, labeled_pool
        ``[LC, QC]``, eval_pool ``[QC, QC]`` (``kernels.full_blocks``).
      residual: R = Y − f(X_L), ``[L, C]``.
      logits: f at the query points, ``[Q, C]``.
      ridge: λ / mean diagonal of the labeled block.

    Raises:
      ValueError: shapes that do not fit, NaN; see ``posterior.factorize``.
    """
    if residual.ndim != 2 or logits.ndim != 2:
        raise ValueError(
            "condition takes residual [L, C] and logits [Q, C], got shapes "
            f"{residual.shape} and {logits.shape}"
        )
    flat = posterior.condition(
        blocks, jnp.reshape(residual, (-1, 1)), jnp.reshape(logits, (-1, 1)), ridge=ridge
    )
    return FullPosterior(flat, float64.to_default(jnp.asarray(logits)))


@jax.jit
def gain(covariance: Array, noise: Array) -> Array:
    """W(x, j) = S(x, x_j) (S_jj + λI)⁻¹ for all candidates, ``[E, C, U, C]`` to ``[U, E, C, C]``.

    The candidates must be the first of the E points.
    """
    own = jnp.einsum("jcjd->jcd", covariance[: covariance.shape[2]])
    # A point that the labels determine has S_jj = 0 up to rounding of either sign.
    values, vectors = jnp.linalg.eigh(own)
    denominators = jnp.maximum(values, 0) + noise
    inverses = jnp.where(denominators > 0, 1 / jnp.where(denominators > 0, denominators, 1), 0)
    highest = jax.lax.Precision.HIGHEST
    inverse = jnp.einsum("jab,jb,jcb->jac", vectors, inverses, vectors, precision=highest)
    return jnp.einsum("xcja,jab->jxcb", covariance, inverse, precision=highest)
