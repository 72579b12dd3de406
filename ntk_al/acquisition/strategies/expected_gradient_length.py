"""Expected gradient length: how large the gradient of the loss would be for a new label."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import ALL_LOGITS
from ntk_al.network import Predictive
from ntk_al.types import Array

_HIGHEST = jax.lax.Precision.HIGHEST


def expected_gradient_length(key: Array, candidates: CandidateSet) -> Utilities:
    """Σ_y p(y | x) ‖∂ℓ(f(x), y)/∂θ‖₂ (Settles, Craven and Ray 2008, Eq. 5).

    The loss is the squared loss. With v_y = ∂ℓ/∂f = 2 (f(x) − y), the squared length of the
    gradient with respect to all parameters is v_yᵀ Θ(x, x) v_y. If ``options.readout`` is
    ``"all_logits"``, this is computed exactly with C backward passes. Otherwise the approximation
    Θ(x, x) ≈ Θ_g(x, x) I_C, which the look-ahead paper uses throughout, takes one backward pass; it
    is exact for linear models and in the limit of wide networks.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    if candidates.options.readout == ALL_LOGITS:
        theta = candidates.once(_own_kernel_of_all_logits)
        return Utilities(_expected_length(candidates.logits, theta, candidates.predictive))
    lengths = jnp.sqrt(candidates.once(_own_kernel))
    return Utilities(lengths * _expected_length(candidates.logits, None, candidates.predictive))


def _own_kernel(given: CandidateSet) -> Array:
    return kernels.diagonal(
        given.network,
        given.x,
        readout=given.options.readout,
        precision=given.options.precision,
        memory_budget=given.options.memory_budget,
    )


def _own_kernel_of_all_logits(given: CandidateSet) -> Array:
    return kernels.full_diagonal(given.network, given.x)


@jax.jit
def _expected_length(logits: Array, theta: Array | None, predictive: Predictive) -> Array:
    """Σ_y p_y √(v_yᵀ Θ v_y), ``[U]``.

    Args:
      logits: ``[U, C]``.
      theta: Θ(x, x) of each candidate, ``[U, C, C]``; ``None`` means the identity matrix.
      predictive: p(y | x) as a function of the outputs.
    """

    def of_example(f: Array, theta: Array | None) -> Array:
        # As v_y = 2 (f − e_y), the values for all y follow from fᵀΘf, Θf and the diagonal of Θ.
        pulled = f if theta is None else jnp.matmul(theta, f, precision=_HIGHEST)
        own = jnp.ones_like(f) if theta is None else jnp.diagonal(theta)
        squared = 4 * (jnp.dot(f, pulled, precision=_HIGHEST) - 2 * pulled + own)
        lengths = jnp.sqrt(jnp.maximum(squared, 0))
        return jnp.dot(predictive.probabilities(f), lengths, precision=_HIGHEST)

    if theta is None:
        return jax.vmap(lambda f: of_example(f, None))(logits)
    return jax.vmap(of_example)(logits, theta)
