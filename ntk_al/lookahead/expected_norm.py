"""The mean norm of a Gaussian vector, without sampling.

If all coordinates of z have one variance s², the mean of ‖z‖ is that of a noncentral χ
distribution, s √2 Γ((C+1)/2)/Γ(C/2) · ₁F₁(−½; C/2; −‖b‖²/2s²) with b the mean of z. For one
coordinate, this is the folded normal distribution, whose mean has a closed form. For more
coordinates, series for ₁F₁ overflow where ‖b‖ ≫ s, and coordinates of different variances have no
such form. So the mean is computed from the Laplace transform φ(t) = E exp(−t‖z‖²), which is a
product over coordinates:

    E ‖z‖ = 1/(2√π) ∫₀^∞ (1 − φ(t)) t^(−3/2) dt

With t = (2 tan θ)² / E‖z‖², this is a smooth integral over a quarter circle. Gauss–Legendre
quadrature with 24 nodes computes it with a relative error below 1e-10 at any C, b and s.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.types import Array

_NUM_NODES = 24
_SCALE = 2.0  # of tan θ; among 0.7, 1, 1.4 and 2 it had the smallest error


def expected_norm(squared_mean: Array, variance: Array, copies: int = 1) -> Array:
    """Computes E ‖z‖₂ of a Gaussian z whose coordinates are independent.

    Args:
      squared_mean: the squared mean of each coordinate, ``[..., K]``; with ``copies``, the sum over
        the coordinates that share a variance.
      variance: the variance of each coordinate, ``[..., K]``, at least 0.
      copies: the number of coordinates that share each variance.

    Returns:
      ``[...]``.

    Examples:
      >>> print(f"{expected_norm(jnp.zeros(1), jnp.ones(1), copies=2):.4f}")  # √(π/2)
      1.2533
    """
    if squared_mean.shape[-1] == copies == 1:
        return _folded_normal(jnp.sqrt(squared_mean[..., 0]), jnp.sqrt(variance[..., 0]))
    second_moment = (squared_mean + copies * variance).sum(-1)
    shares = jnp.where(second_moment > 0, 1 / jnp.where(second_moment > 0, second_moment, 1), 0)
    squared_mean, variance = squared_mean * shares[..., None], variance * shares[..., None]
    points, weights = (jnp.asarray(a, squared_mean.dtype) for a in _quadrature())

    def add(node: int, total: Array) -> Array:
        t = points[node]
        spread = 2 * t * variance
        log_transform = -t * squared_mean / (1 + spread) - copies / 2 * jnp.log1p(spread)
        return total - weights[node] * jnp.expm1(log_transform.sum(-1))

    total = jax.lax.fori_loop(0, _NUM_NODES, add, jnp.zeros_like(second_moment))
    return jnp.sqrt(second_moment) * total


def _folded_normal(mean: Array, deviation: Array) -> Array:
    """E |z| of z ~ N(mean, deviation²) for a mean of at least 0."""
    safe = jnp.where(deviation > 0, deviation, 1)
    ratio = mean / (np.sqrt(2) * safe)
    folded = deviation * np.sqrt(2 / np.pi) * jnp.exp(-jnp.square(ratio)) + mean * jax.lax.erf(
        ratio
    )
    return jnp.where(deviation > 0, folded, mean)


def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """The points t · E‖z‖² and their weights, which include every factor of the integral."""
    nodes, weights = np.polynomial.legendre.leggauss(_NUM_NODES)
    angles = (nodes + 1) * np.pi / 4
    weights = weights * np.pi / 4 / np.square(np.sin(angles)) / (_SCALE * np.sqrt(np.pi))
    return np.square(_SCALE * np.tan(angles)), weights
