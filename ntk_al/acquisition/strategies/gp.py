"""The model output change of a Gaussian process, without any trained network."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategies.infinite_ntk import twin_blocks, twin_facts
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import posterior, ridges, score_posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array


def gp(key: Array, candidates: CandidateSet) -> Utilities:
    """‖e_j‖ Σ_x |w(x, j)|: the output change of a Gaussian process with an infinite-width kernel.

    The paper's baseline "GP" applies the expected model output change of Freytag et al. (ECCV 2014)
    and Käding et al. (BMVC 2018) to a Gaussian process. These two papers define it for two classes
    and for regression. The remaining choices were made so that the result is MLMOC (Eq. 13) without
    a trained network:

    - The prior has mean zero, and its covariance is the NNGP kernel of the network's twin. This is
      the distribution of an infinitely wide network before training (Lee et al. 2018,
      arXiv:1711.00165).
    - Classification is treated as regression on one-hot labels with the same noise λ for every
      class, just as Freytag et al. treat the labels ±1.
    - The label of a candidate is the most likely one, the argmax of the process's mean. EMOC would
      take an expectation, but a regression has no class probabilities.
    - Changes are measured from the process's own mean, which ``lookahead`` calls
      ``reference="linearized"``. ``options.reference`` is ignored, because there is no network to
      measure from.

    Args:
      key: unused.
      candidates: the candidates.
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
    """Computes the mean of the Gaussian process at the candidates, ``[U, C]``."""
    return _belief(candidates).mean[: len(candidates.x)]


def _belief(candidates: CandidateSet) -> Posterior:
    """Computes the Gaussian process given all labels so far; its mean also serves as logits."""
    belief = candidates.conditioned(_condition)
    return dataclasses.replace(belief, logits=belief.mean)


def _condition(given: CandidateSet) -> Posterior:
    """Computes the Gaussian process given the labeled set."""
    num_points, num_classes = given.problem.with_one_set().pool_logits.shape
    theta, targets = twin_blocks(given, "nngp"), given.problem.targets
    return posterior.condition(
        theta,
        targets,
        jnp.zeros((num_points, num_classes)),
        ridge=ridges.resolved(given.options.ridge, theta.labeled, targets, given.x_labeled),
    )
