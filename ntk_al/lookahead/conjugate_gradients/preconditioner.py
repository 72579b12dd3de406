"""A preconditioner from landmarks of the labeled set and from clusters of near labels.

    P = FFᵀ + B,    B = blockdiag(Θ − FFᵀ + λI)

Landmarks are drawn with probabilities proportional to the diagonal that earlier ones leave (Chen,
Epperly, Tropp and Webber 2023, "Randomly pivoted Cholesky", in blocks of draws), so that their
columns give Θ ≈ FFᵀ. With B = λI, this is the preconditioner of Díaz, Epperly, Frangella, Tropp
and Webber 2023 ("Robust, randomized preconditioning for kernel ridge regression"), which needs as
many landmarks as Θ has eigenvalues above λ. A tangent kernel with a ridge of 1e-4 has nearly L of
them. What landmarks leave is local, though: within clusters of near labels it is therefore taken
exactly, which needs a sixth of the iterations.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import float64, progress
from ntk_al.lookahead.conjugate_gradients.labeled_kernel import LabeledKernel
from ntk_al.types import Array

_DRAWS = 256  # landmarks that are drawn at once
_PER_ROOT = 10  # landmarks for each √L
_LARGEST_CLUSTER = 1024
_JITTER = 1e-7  # of the mean diagonal: the error of kernels in float32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Preconditioner:
    """P = FFᵀ + B.

    Attributes:
      factor: F, ``[L, r]``.
      members: rows of the labels of each cluster, ``[n, s]``; L stands for padding.
      clusters: lower Cholesky factors of the blocks of B, ``[n, s, s]``.
      shrunk: B⁻¹F, ``[L, r]``.
      inner: the lower Cholesky factor of I + FᵀB⁻¹F, ``[r, r]``.
    """

    factor: Array
    members: Array
    clusters: Array
    shrunk: Array
    inner: Array

    def solve(self, v: Array) -> Array:
        """Returns P⁻¹v for v ``[L, m]``, by the identity of Woodbury."""
        of_clusters = _solve_clusters(self.clusters, self.members, v)
        projected = _product(self.factor.T, of_clusters)
        return of_clusters - _product(
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
    rank = min(num, _DRAWS * math.ceil(_PER_ROOT * math.sqrt(num) / _DRAWS))
    least = _JITTER * float(diagonal.mean(dtype=np.float64))
    num_clusters = 2 ** math.ceil(math.log2(max(1, num / _LARGEST_CLUSTER)))
    with progress.shown("preconditioner", math.ceil(rank / _DRAWS) + num_clusters) as advance:
        factor = float64.here(jnp.zeros((num, 0)))
        left = diagonal.astype(np.float64)
        rng = np.random.default_rng(0)
        while factor.shape[1] < rank and (left > least).any():
            usable = np.where(left > least, left, 0)
            size = min(_DRAWS, rank - factor.shape[1], np.count_nonzero(usable))
            rows = np.sort(rng.choice(num, size, replace=False, p=usable / usable.sum()))
            columns = float64.here(jnp.asarray(kernel.columns(rows), factor.dtype))
            factor = jnp.concatenate([factor, _next(factor, columns, rows, least)], 1)
            left = np.maximum(diagonal - np.asarray(jnp.square(factor).sum(1)), 0)
            advance()
        clusters = bisect(np.asarray(factor), num_clusters)
        size = max(len(rows) for rows in clusters)
        blocks = []
        for rows in clusters:
            theta = float64.here(jnp.asarray(kernel.among(rows), factor.dtype))
            remaining = theta - _product(factor[rows], factor[rows].T)
            # Padded labels are uncorrelated with all others.
            blocks.append(jnp.eye(size).at[: len(rows), : len(rows)].set(remaining))
            advance(blocks[-1])
    shift = max(noise, 10 * least) * jnp.eye(size)
    members = np.full((len(clusters), size), num)
    for cluster, rows in zip(members, clusters, strict=True):
        cluster[: len(rows)] = rows
    placed = float64.here(jnp.asarray(members))
    choleskys = jnp.stack([_cholesky(block, shift) for block in blocks])
    shrunk = _solve_clusters(choleskys, placed, factor)
    inner = jnp.eye(factor.shape[1]) + _product(factor.T, shrunk)
    return Preconditioner(factor, placed, choleskys, shrunk, jnp.linalg.cholesky(inner))


def bisect(points: np.ndarray, number: int) -> list[np.ndarray]:
    """Divides points into equally large clusters, by halves along their main direction.

    Args:
      points: ``[N, d]``.
      number: how many clusters, a power of two.

    Returns:
      The rows of each cluster, whose sizes differ by one at most.
    """
    rng = np.random.default_rng(0)
    parts = [np.arange(len(points))]
    while len(parts) < number:
        halves = []
        for rows in parts:
            centered = points[rows] - points[rows].mean(0)
            direction = rng.normal(size=points.shape[1])
            for _ in range(5):  # of power iteration: any long direction will do
                direction = centered.T @ (centered @ direction)
                direction /= max(np.linalg.norm(direction), np.finfo(float).tiny)
            order = rows[np.argsort(centered @ direction, kind="stable")]
            halves += [np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])]
        parts = halves
    return parts


def _next(factor: Array, columns: Array, rows: np.ndarray, least: float) -> Array:
    """Returns the columns that further landmarks add to F, ``[L, n]``."""
    remaining = columns - _product(factor, factor[rows].T)
    among = remaining[rows]
    values, vectors = jnp.linalg.eigh((among + among.T) / 2)
    # Copies of a point give the same column, whose share beyond the first is a rounding error.
    scale = jnp.where(values > least, 1 / jnp.sqrt(jnp.maximum(values, least)), 0)
    return _product(remaining, vectors * scale)


def _cholesky(block: Array, shift: Array) -> Array:
    """The factor of a block of B, without negative eigenvalues that rounding errors have made."""
    found = jnp.linalg.cholesky(block + shift)
    if bool(jnp.isfinite(found).all()):
        return found
    values, vectors = jnp.linalg.eigh(block)
    return jnp.linalg.cholesky(_product(vectors * jnp.maximum(values, 0), vectors.T) + shift)


def _solve_clusters(choleskys: Array, members: Array, v: Array) -> Array:
    """Returns B⁻¹v."""
    padded = jnp.concatenate([v, jnp.zeros((1, v.shape[1]), v.dtype)])
    solved = jax.lax.map(
        lambda block: jax.scipy.linalg.cho_solve((block[0], True), padded[block[1]]),
        (choleskys, members),
    )
    return padded.at[members].set(solved)[:-1]


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
