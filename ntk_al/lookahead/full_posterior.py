"""The posterior with a kernel for every pair of classes, for small problems.

The paper's approximation Θ ⊗ I_C gives every class the kernel of one scalar read-out. Without this
approximation, the C outputs of one example are C points of one Gaussian process. Conditioning then
works as in ``posterior``, but on N·C points with one output each, and one label provides C
observations at once. The kernel of the labeled set has shape ``[LC, LC]``.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import float64
from ntk_al.lookahead import posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.ridges import PAPER
from ntk_al.types import Array, ArrayLike, GramBlocks


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FullPosterior:
    """Like ``posterior.Posterior``, but with a covariance S for every pair of outputs.

    Attributes:
      flat: the posterior of Q·C points with one output each; row q·C + c is output c of point q.
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
        """λ, the noise variance of one observation."""
        return self.flat.noise

    @property
    def ridge(self) -> Array:
        """The ridge that was used to factorize the kernel."""
        return self.flat.ridge

    @property
    def condition_number(self) -> Array:
        """An estimate of the condition number of the factorized matrix."""
        return self.flat.condition_number

    @property
    def ignored(self) -> ArrayLike:
        """How many labels were out of range under ``jax.jit``, see ``posterior.Posterior``."""
        return self.flat.ignored // self.logits.shape[1]

    @property
    def floored(self) -> ArrayLike:
        """How many outputs of labels were floored, see ``posterior.Posterior``."""
        return self.flat.floored

    def observe(
        self, index: ArrayLike | int, label: ArrayLike | int, *, move_network: bool = False
    ) -> FullPosterior:
        """Returns the posterior after query points are labeled.

        Arguments and errors are those of ``Posterior.observe``.
        """
        num_points, num_classes = self.logits.shape
        rows, targets, valid = posterior.observations(index, label, num_points, num_classes)
        outputs = num_classes * rows[:, None] + np.arange(num_classes, dtype=np.int32)
        observed = posterior.Observations(
            outputs.ravel(), targets.reshape(-1, 1), valid.repeat(num_classes)
        )
        after = dataclasses.replace(self, flat=posterior.absorb(self.flat, observed))
        if not move_network:
            return after
        with float64.as_in(self):
            return dataclasses.replace(after, logits=self.logits + (after.mean - self.mean))


def condition(
    blocks: GramBlocks, residual: ArrayLike, logits: ArrayLike, *, ridge: float = PAPER
) -> FullPosterior:
    """Conditions on the labeled set: Eq. 11 of the paper with the full kernel.

    Args:
      blocks: the kernel of all outputs, as ``kernels.full_blocks`` returns it: labeled
        ``[LC, LC]``, labeled_pool ``[LC, QC]``, eval_pool ``[QC, QC]``.
      residual: R = Y − f(X_L), ``[L, C]``.
      logits: f at the query points, ``[Q, C]``.
      ridge: λ divided by the mean diagonal of the labeled block.

    Returns:
      The posterior at the Q query points.

    Raises:
      ValueError: if shapes do not match or values are not finite; see also
        ``posterior.factorize``.
    """
    if residual.ndim != 2 or logits.ndim != 2:
        raise ValueError(
            "condition takes residual [L, C] and logits [Q, C], got shapes "
            f"{residual.shape} and {logits.shape}"
        )
    flat = posterior.condition(
        blocks, jnp.reshape(residual, (-1, 1)), jnp.reshape(logits, (-1, 1)), ridge=ridge
    )
    return FullPosterior(flat, flat.logits.reshape(logits.shape))


@jax.jit
def gain(covariance: Array, noise: Array, prior: Array) -> Array:
    """W(x, j) = S(x, x_j) (S_jj + λI)⁻¹ for all candidates.

    Args:
      covariance: S(E, U), ``[E, C, U, C]``; the first U of the E points must be the candidates.
      noise: λ.
      prior: Θ_jj of each output of a candidate, ``[U, C]``.

    Returns:
      ``[U, E, C, C]``.
    """
    own = jnp.einsum("jcjd->jcd", covariance[: covariance.shape[2]])
    # If the labels already determine a point, its S_jj is zero up to rounding of either sign.
    values, vectors = jnp.linalg.eigh(own)
    denominators = posterior.label_variance(values, noise, prior.max(1, keepdims=True))
    inverses = jnp.where(denominators > 0, 1 / jnp.where(denominators > 0, denominators, 1), 0)
    highest = jax.lax.Precision.HIGHEST
    inverse = jnp.einsum("jab,jb,jcb->jac", vectors, inverses, vectors, precision=highest)
    return jnp.einsum("xcja,jab->jxcb", covariance, inverse, precision=highest)
