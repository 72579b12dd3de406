"""BALD: how much the predictions of random draws of the network disagree."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al._utils import checks
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.network.dropout import sample_logits
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array


def bald(key: Array, candidates: CandidateSet, *, num_samples: int = 20) -> Utilities:
    """Mutual information of the label and the weights, H[mean of p_t] − mean of H[p_t], in nats.

    This is Bayesian active learning by disagreement (Houlsby et al. 2011, arXiv:1112.5745, Eq. 2)
    with the Monte Carlo estimate of Gal et al. 2017 (arXiv:1703.02910, Section 3), where p_t is the
    predictive distribution of the network under draw t of its dropout. The equation leaves open how
    many draws there are and whether candidates share them; sharing would not change any
    expectation. Here every candidate has its own draws, made from the key, t and its id, so the
    result does not depend on the order of the pool.

    In a sequential query, the draws are always those of the network as it was trained. A revealed
    label only removes its candidate, but every choice makes new draws.

    Args:
      key: PRNG key of the draws.
      candidates: the candidates.
      num_samples: the number of draws. Each costs one prediction, and no estimate can exceed the
        logarithm of this number.

    Raises:
      ValueError: if a draw has logits that are not finite.
    """
    predictive = candidates.predictive
    ids = jnp.asarray(candidates.ids, jnp.uint32)
    mean, entropies = jnp.zeros(()), jnp.zeros(())
    for draw in range(num_samples):
        keys = _keys_by_id(jax.random.fold_in(key, draw), ids)
        logits = sample_logits(candidates.network, keys, candidates.x)
        # Running sums avoid a [num_samples, U, C] array of all draws.
        mean = mean + predictive.probabilities(logits) / num_samples
        entropies = entropies + predictive.entropy(logits) / num_samples
    information = jax.scipy.special.entr(mean).sum(-1) - entropies
    checks.finite("the disagreement of the network's draws", information, hint=DIVERGED)
    return Utilities(information)


@jax.jit
def _keys_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
