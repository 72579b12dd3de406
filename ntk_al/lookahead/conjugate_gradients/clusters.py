"""Clusters of near labels, and matrices that are block-diagonal by them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils.products import product
from ntk_al.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockDiagonal:
    """B, positive definite and zero between clusters.

    Attributes:
      members: rows of the labels of each cluster, ``[n, s]``; L stands for padding.
      choleskys: lower Cholesky factors of the blocks, ``[n, s, s]``.
    """

    members: Array
    choleskys: Array

    def solve(self, v: Array) -> Array:
        """Returns B⁻¹v for v ``[L, m]``."""
        padded = jnp.concatenate([v, jnp.zeros((1, v.shape[1]), v.dtype)])
        solved = jax.lax.map(
            lambda block: jax.scipy.linalg.cho_solve((block[0], True), padded[block[1]]),
            (self.choleskys, self.members),
        )
        return padded.at[self.members].set(solved)[:-1]


def padded_members(clusters: list[np.ndarray], num: int) -> np.ndarray:
    """Returns the rows of each cluster as ``[n, s]``, filled up with ``num``."""
    members = np.full((len(clusters), max(len(rows) for rows in clusters)), num)
    for of_cluster, rows in zip(members, clusters, strict=True):
        of_cluster[: len(rows)] = rows
    return members


def cholesky(block: Array, shift: float) -> Array:
    """Returns the factor of a block plus a multiple of the identity.

    Negative eigenvalues, which rounding errors have made, are taken for zero.
    """
    identity = shift * jnp.eye(len(block))
    found = jnp.linalg.cholesky(block + identity)
    if bool(jnp.isfinite(found).all()):
        return found
    values, vectors = jnp.linalg.eigh(block)
    return jnp.linalg.cholesky(product(vectors * jnp.maximum(values, 0), vectors.T) + identity)


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
