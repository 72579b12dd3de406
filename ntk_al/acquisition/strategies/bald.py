"""A utility from how much random draws of the network disagree."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al._utils import checks
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import criteria
from ntk_al.network.dropout import sample_logits
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array


def bald(key: Array, candidates: CandidateSet, *, num_samples: int = 20) -> Utilities:
    """Mutual information of label and weights, H[mean of p_t] − mean of H[p_t], in nats.

    Bayesian active learning by disagreement (Houlsby et al. 2011, arXiv:1112.5745, Eq. 2), with the
    Monte Carlo estimate of Gal et al. 2017 (arXiv:1703.02910, Section 3): p_t is the softmax of the
    network under draw t of its dropout. How many draws there are is left open by the equation: 20
    unless ``num_samples`` says otherwise, at the price of a prediction each; no estimate exceeds
    the logarithm of their number. Whether candidates share a draw is left open, too, and changes no
    expectation: each has its own, from the key, t and its id, so the order of the pool is nothing.

    In sequential mode the draws remain those of the network as it was trained: a label of this
    query takes its candidate away and changes nothing else, but each choice draws anew.
    """
    ids = jnp.asarray(candidates.ids, jnp.uint32)
    mean, entropies = jnp.zeros(()), jnp.zeros(())
    for draw in range(num_samples):
        keys = _keys_by_id(jax.random.fold_in(key, draw), ids)
        logits = sample_logits(candidates.network, keys, candidates.x)
        # Running sums: all draws at once would be a [num_samples, U, C] array.
        mean = mean + jax.nn.softmax(logits) / num_samples
        entropies = entropies + criteria.entropy(logits) / num_samples
    information = jax.scipy.special.entr(mean).sum(-1) - entropies
    checks.finite("the disagreement of the network's draws", information, hint=DIVERGED)
    return Utilities(information)


@jax.jit
def _keys_by_id(key: Array, ids: Array) -> Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
