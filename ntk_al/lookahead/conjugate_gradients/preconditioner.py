"""A preconditioner from landmarks of the labeled set and from clusters of near labels.

    P = FFᵀ + B,    B = blockdiag(Θ − FFᵀ + λI)

The columns of landmarks give Θ ≈ FFᵀ, see ``pivoted_cholesky``. With B = λI, this is the
preconditioner of Díaz, Epperly, Frangella, Tropp and Webber 2023 ("Robust, randomized
preconditioning for kernel ridge regression"), which needs as many landmarks as Θ has eigenvalues
above λ. A tangent kernel with a ridge of 1e-4 has nearly L of them. What landmarks leave is local,
though: within clusters of near labels it is therefore taken exactly, which needs a sixth of the
iterations.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import float64, progress
from ntk_al._utils.products import product
from ntk_al._utils.progress import Advance
from ntk_al.lookahead.conjugate_gradients import clusters, pivoted_cholesky
from ntk_al.lookahead.conjugate_gradients.clusters import BlockDiagonal
from ntk_al.lookahead.conjugate_gradients.labeled_kernel import LabeledKernel
from ntk_al.types import Array

_LARGEST_CLUSTER = 1024
_ROUNDING = 1e-7  # of the mean diagonal: the error of kernels in float32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Preconditioner:
    """P = FFᵀ + B.

    Attributes:
      factor: F, ``[L, r]``.
      blocks: B.
      shrunk: B⁻¹F, ``[L, r]``.
      inner: the lower Cholesky factor of I + FᵀB⁻¹F, ``[r, r]``.
    """

    factor: Array
    blocks: BlockDiagonal
    shrunk: Array
    inner: Array

    @classmethod
    def of(cls, factor: Array, blocks: BlockDiagonal) -> Preconditioner:
        """Makes it of its two parts."""
        shrunk = blocks.solve(factor)
        inner = jnp.eye(factor.shape[1]) + product(factor.T, shrunk)
        return cls(factor, blocks, shrunk, jnp.linalg.cholesky(inner))

    def solve(self, v: Array) -> Array:
        """Returns P⁻¹v for v ``[L, m]``, by the identity of Woodbury."""
        of_blocks = self.blocks.solve(v)
        projected = product(self.factor.T, of_blocks)
        return of_blocks - product(
            self.shrunk, jax.scipy.linalg.cho_solve((self.inner, True), projected)
        )


def make(kernel: LabeledKernel, diagonal: np.ndarray, noise: float) -> Preconditioner:
    """Computes the preconditioner of Θ(L, L) + λI.

    Call it inside a block of ``float64.widest``.

    Args:
      kernel: Θ(L, L).
      diagonal: its diagonal, ``[L]``.
      noise: λ.
    """
    num = len(diagonal)
    least = _ROUNDING * float(diagonal.mean(dtype=np.float64))
    num_clusters = 2 ** math.ceil(math.log2(max(1, num / _LARGEST_CLUSTER)))
    num_steps = pivoted_cholesky.num_draws(num) + num_clusters
    with progress.shown("preconditioner", num_steps) as advance:
        factor = pivoted_cholesky.factorize(kernel, diagonal, least, advance)
        parts = clusters.bisect(np.asarray(factor), num_clusters)
        blocks = _what_is_left(kernel, factor, parts, max(noise, 10 * least), advance)
    return Preconditioner.of(factor, blocks)


def _what_is_left(
    kernel: LabeledKernel,
    factor: Array,
    parts: list[np.ndarray],
    shift: float,
    advance: Advance,
) -> BlockDiagonal:
    """Returns Θ − FFᵀ within each cluster, with ``shift`` on the diagonal."""
    members = clusters.padded_members(parts, len(factor))
    choleskys = []
    for rows in parts:
        theta = float64.here(jnp.asarray(kernel.among(rows), factor.dtype))
        remaining = theta - product(factor[rows], factor[rows].T)
        # Padded labels are uncorrelated with all others.
        block = jnp.eye(members.shape[1]).at[: len(rows), : len(rows)].set(remaining)
        choleskys.append(clusters.cholesky(block, shift))
        advance()
    return BlockDiagonal(float64.here(jnp.asarray(members)), jnp.stack(choleskys))
