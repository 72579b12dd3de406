"""EV-GP: the batch that explains the most variance."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Choice, facts, uniform_by_id
from ntk_al.lookahead import score_posterior
from ntk_al.lookahead.greedy import greedy
from ntk_al.types import Array, ArrayLike


def explained_variance(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedily chooses the batch that explains the most variance at the evaluation points.

    The explained variance Σ_x k(x, B) (k(B, B) + λI)⁻¹ k(B, x), summed over the evaluation points
    x, grows by Σ_x S(x, j)² / (S_jj + λ) when j joins the batch B. It does not depend on labels.
    This is the criterion EV in its Gaussian-process form (Hemachandra, Dai, Hou, Ng and Low 2023,
    arXiv:2306.04454). The paper uses the kernel of the network at initialization, in order to
    choose before any training; this implementation uses the kernel of the trained network. The
    evaluation points are the candidates unless others are given.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    belief = candidates.posterior
    before = facts(belief)

    def explained(_: np.ndarray) -> ArrayLike:
        num_candidates = candidates.problem.num_candidates
        return score_posterior(belief, criterion="variance", num_candidates=num_candidates)

    utilities = explained(candidates.available)

    def add(row: int) -> None:
        nonlocal belief
        belief = belief.observe(row, 0)  # only the covariance is used

    rows = greedy(
        k,
        explained,
        add,
        available=candidates.available,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, utilities, before)
