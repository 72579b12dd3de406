"""BatchBALD: labels that together say most about the network's weights."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.lookahead.greedy import greedy, significant
from ntk_al.network.dropout import sample_logits
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array


def batchbald(
    key: Array,
    candidates: CandidateSet,
    k: int,
    *,
    num_samples: int = 100,
    labelings_per_sample: int = 4,
) -> Choice:
    """Greedy mutual information of the labels of a batch and the weights, in nats.

    This is BatchBALD (Kirsch, van Amersfoort and Gal 2019, arXiv:1906.08158). The weights are draws
    ω_t of the network's dropout, the same for all candidates, and the value of a candidate x after
    the picks x_1, ..., x_n is I(y; ω | y_1, ..., y_n): by the chain rule the sum of these values is
    the information of the whole batch. Near copies of a pick have little left to say.

    The labels of the picks are unknown, so the value is a mean over labelings. Each belongs to one
    draw, which labels every pick at random by its own p_t(y | x_i); given a labeling, draw s
    weighs Π_i p_s(y_i | x_i). The authors' code enumerates labelings as long as there are few, and
    estimates joint entropies from samples; the estimate here is never negative. The first pick
    needs no labeling. Labels that were revealed within the query are known, and weigh the draws.

    Args:
      key: PRNG key of the draws, the labelings and ties.
      candidates: the candidates.
      k: how many to choose.
      num_samples: the number of draws. Each costs one prediction of the candidates, and 4 U C bytes
        for their probabilities. The information of a batch cannot exceed the logarithm of this
        number.
      labelings_per_sample: how many labelings belong to each draw.

    Raises:
      ValueError: if a draw has logits that are not finite.
    """
    draw_key, label_key, tie_key = jax.random.split(key, 3)
    p, entropies = _predictions(draw_key, candidates, num_samples)
    log_p = jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))
    # log of the weight of each draw, up to a constant, for each labeling: [labelings, draws]
    log_weights = jnp.zeros((1, num_samples))
    for row, label in candidates.observed:
        log_weights += log_p[:, row, label]
    owners = np.tile(np.arange(num_samples), labelings_per_sample)
    if candidates.observed:  # some draws have become more likely than others
        owners = np.asarray(jax.random.categorical(label_key, log_weights[0], shape=owners.shape))
    utilities: np.ndarray | None = None

    def values(_: np.ndarray) -> np.ndarray:
        nonlocal utilities
        information = np.asarray(_information(log_weights, p, entropies))
        utilities = information if utilities is None else utilities
        return significant(information)

    def add(row: int) -> None:
        nonlocal log_weights
        if len(log_weights) == 1:
            log_weights = jnp.repeat(log_weights, len(owners), axis=0)
        label_of_pick = jax.random.fold_in(label_key, np.uint32(candidates.ids[row]))
        labels = jax.random.categorical(label_of_pick, log_p[owners, row])
        log_weights = log_weights + log_p[:, row, labels].T

    rows = greedy(
        k,
        values,
        add,
        available=candidates.available,
        tie_breaks=uniform_by_id(tie_key, candidates.ids),
    )
    assert utilities is not None
    return Choice(rows, utilities)


def _predictions(key: Array, candidates: CandidateSet, num_samples: int) -> tuple[Array, Array]:
    """Computes p_t(y | x), ``[T, U, C]``, and its entropies, ``[T, U]``."""
    predictive, num = candidates.predictive, len(candidates.ids)
    probabilities, entropies = [], []
    for draw in range(num_samples):
        shared = jnp.repeat(jax.random.fold_in(key, draw)[None], num)
        logits = sample_logits(candidates.network, shared, candidates.x)
        probabilities.append(predictive.probabilities(logits))
        entropies.append(predictive.entropy(logits))
    p = jnp.stack(probabilities)
    checks.finite("the predictions of the network's draws", p, hint=DIVERGED)
    return p, jnp.stack(entropies)


@jax.jit
def _information(log_weights: Array, p: Array, entropies: Array) -> Array:
    """The mean over labelings of H[Σ_t w_t p_t] − Σ_t w_t H[p_t], ``[U]``."""
    dot = functools.partial(jnp.tensordot, axes=1, precision="highest")

    def of_labeling(log_weights: Array) -> Array:
        weights = jax.nn.softmax(log_weights)
        return jax.scipy.special.entr(dot(weights, p)).sum(-1) - dot(weights, entropies)

    return jax.lax.map(of_labeling, log_weights, batch_size=8).mean(0)
