"""Look-ahead with the tangent kernel of the last layer alone, at the price of a forward pass."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategies.criteria import scores_of
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.lookahead import posterior, ridges
from ntk_al.lookahead.posterior import Posterior
from ntk_al.network.features import last_features
from ntk_al.types import Array, GramBlocks


def last_layer(key: Array, candidates: CandidateSet) -> Utilities:
    """``options.criterion`` with the kernel h(x)·h(x') + 1 of the last layer and its bias.

    For a squared loss, these are exact updates of a Laplace approximation of the last layer, as in
    the look-ahead of Huseljic et al., "Efficient Bayesian updates for deep active learning via
    Laplace approximations" (arXiv:2210.06112), whose updates for the softmax are approximate. The
    layers below stay as they are, which the tangent kernel of the whole network does not assume.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    belief = candidates.conditioned(_condition)
    return Utilities(scores_of(belief, candidates), facts(belief))


def last_layer_outputs(candidates: CandidateSet) -> Array:
    """Computes the network's outputs after the labels that have moved them, ``[U, C]``."""
    return candidates.conditioned(_condition).logits[: len(candidates.x)]


def _condition(given: CandidateSet) -> Posterior:
    """Computes the posterior before any further label."""
    query = given.features
    if given.x_eval is not None:
        query = np.concatenate([query, np.asarray(last_features(given.network, given.x_eval))])
    labeled = _with_bias(given.labeled_features)
    query = _with_bias(query)
    theta = GramBlocks.square(labeled @ labeled.T, labeled @ query.T, query @ query.T)
    logits = given.problem.with_one_set().pool_logits
    ridge = ridges.resolved(
        given.options.ridge, theta.labeled, given.problem.targets, given.x_labeled
    )
    return posterior.condition(theta, given.residual, logits, ridge=ridge)


def _with_bias(features: np.ndarray) -> np.ndarray:
    wide = np.asarray(features, np.float64)
    return np.concatenate([wide, np.ones((len(wide), 1))], 1)
