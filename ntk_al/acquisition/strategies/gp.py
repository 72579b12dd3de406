"""The expected model output change of a Gaussian process without any network."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from ntk_al._utils import checks
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategies.infinite_ntk import twin_blocks, twin_facts
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import posterior, score_posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array


def gp(key: Array, candidates: CandidateSet) -> Utilities:
    """‖e_j‖ Σ_x |w(x, j)|: the output change of a Gaussian process with an infinite-width kernel.

    The paper's baseline "GP" applies the expected model output change of Freytag et al. (ECCV 2014)
    and Käding et al. (BMVC 2018) to a Gaussian process; those define it for two classes and for
    regression. What is open was chosen so that it is MLMOC (Eq. 13) without any trained network:

    - the prior has mean zero and, as covariance, the NNGP kernel of the network's twin: what an
      infinitely wide network is before training (Lee et al. 2018, arXiv:1711.00165);
    - classification is regression on one-hot labels with noise λ, the same for every class, as
      Freytag et al. have it for ±1;
    - a candidate's label is the most likely one, argmax of the process's mean, where EMOC takes an
      expectation, for which a regression has no class probabilities;
    - a change is measured from the process's own mean, ``reference="linearized"`` in the words of
      ``lookahead``, whatever the options say: there is no network to measure from.
    """
    del key
    belief = _belief(candidates)
    scores = score_posterior(
        belief,
        criterion="mlmoc",
        reference="linearized",
        num_candidates=candidates.problem.num_candidates,
    )
    return Utilities(scores, twin_facts(candidates, belief))


def gp_outputs(candidates: CandidateSet) -> Array:
    """The mean of the Gaussian process at the candidates, ``[U, C]``."""
    return _belief(candidates).mean[: len(candidates.x)]


def _belief(candidates: CandidateSet) -> Posterior:
    """The Gaussian process given every label so far; its mean takes the place of logits, too."""
    belief = candidates.conditioned(_condition)
    return dataclasses.replace(belief, logits=belief.mean)


def _condition(given: CandidateSet) -> Posterior:
    """The Gaussian process given the labeled set."""
    num_points, num_classes = given.problem.with_one_set().pool_logits.shape
    return posterior.condition(
        twin_blocks(given, "nngp"),
        checks.targets("y_labeled", given.y_labeled, len(given.x_labeled), num_classes),
        jnp.zeros((num_points, num_classes)),
        ridge=given.options.ridge,
    )
