"""Expected gradient length: how hard a label would pull at the parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import ALL_LOGITS
from ntk_al.types import Array

_HIGHEST = jax.lax.Precision.HIGHEST


def expected_gradient_length(key: Array, candidates: CandidateSet) -> Utilities:
    """Σ_y p(y | x) ‖∂ℓ(f(x), y)/∂θ‖₂ (Settles, Craven and Ray 2008, Eq. 5), p = softmax f(x).

    The loss is the squared one, so that with v_y = ∂ℓ/∂f = 2 (f(x) − y) the square of the length is
    v_yᵀ Θ(x, x) v_y over all parameters. With ``options.readout`` "all_logits" that is what is
    computed, for C backward passes; otherwise Θ(x, x) ≈ Θ_g(x, x) I_C as in all of the paper, for
    one, which is exact for linear models and wide networks.
    """
    del key
    if candidates.options.readout == ALL_LOGITS:
        theta = candidates.once(_own_kernel_of_all_logits)
        return Utilities(_expected_length(candidates.logits, theta))
    lengths = jnp.sqrt(candidates.once(_own_kernel))
    return Utilities(lengths * _expected_length(candidates.logits, None))


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
def _expected_length(logits: Array, theta: Array | None) -> Array:
    """Σ_y p_y √(v_yᵀ Θ v_y) for kernels ``[U, C, C]``, or the unit matrix; ``[U]``."""

    def of_example(f: Array, theta: Array | None) -> Array:
        # v_y = 2 (f − e_y): the forms of all labels follow from fᵀΘf, Θf and the diagonal.
        pulled = f if theta is None else jnp.matmul(theta, f, precision=_HIGHEST)
        own = jnp.ones_like(f) if theta is None else jnp.diagonal(theta)
        squared = 4 * (jnp.dot(f, pulled, precision=_HIGHEST) - 2 * pulled + own)
        return jnp.dot(jax.nn.softmax(f), jnp.sqrt(jnp.maximum(squared, 0)), precision=_HIGHEST)

    if theta is None:
        return jax.vmap(lambda f: of_example(f, None))(logits)
    return jax.vmap(of_example)(logits, theta)
