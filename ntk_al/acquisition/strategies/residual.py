"""The error of the linearized network at the candidate alone: a sanity baseline."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import kernels
from ntk_al._utils import examples, float64, sharding
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.lookahead import ALL_LOGITS
from ntk_al.lookahead.conditioning import conditioned
from ntk_al.lookahead.factorization import Conditioned
from ntk_al.types import Array


def residual(key: Array, candidates: CandidateSet) -> Utilities:
    """‖e_j‖ = ‖y − mean(x_j)‖ with y = argmax f(x_j): the error, without its effect elsewhere.

    This is a sanity baseline for MLMOC, whose ranking is often similar. It needs the kernel between
    candidates only if labels were revealed within the query or ``options.readout`` is
    ``"all_logits"``.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    if candidates.observed or candidates.options.readout == ALL_LOGITS:
        belief, num = candidates.posterior, len(candidates.x)
        return Utilities(_error_norm(belief.mean[:num], belief.logits[:num]), facts(belief))
    fitted, mean = candidates.once(_mean)
    return Utilities(_error_norm(mean, candidates.network_logits), facts(fitted))


def _mean(given: CandidateSet) -> tuple[Conditioned, Array]:
    """Computes the posterior mean at the candidates, from Θ(L, L) and Θ(L, U)."""
    options = given.options
    by_cholesky = options.solver == "cholesky"
    num_labeled = len(given.x_labeled) if by_cholesky else 0
    theta = kernels.gram(
        given.network,
        given.x_labeled,
        examples.stack([given.x_labeled, given.x]) if by_cholesky else given.x,
        readout=options.readout,
        precision=options.precision,
        memory_budget=options.memory_budget,
        mesh=options.mesh,
    )
    theta = jnp.asarray(sharding.everywhere(sharding.automatic(options.mesh))(theta))
    fitted = conditioned(given.problem, options, theta[:, :num_labeled])
    return fitted, fitted.mean(theta[:, num_labeled:], given.network_logits)


def _error_norm(mean: Array, logits: Array) -> Array:
    with float64.widest(mean, logits):
        mean, logits = float64.here((mean, logits))
        pseudo_label = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=mean.dtype)
        return jnp.linalg.norm(pseudo_label - mean, axis=1)
