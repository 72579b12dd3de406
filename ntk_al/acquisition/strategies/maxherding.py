"""MaxHerding: labels that are close to all points."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features.coverage import greedy_coverage
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array

RADIUS = 1.0
"""Radius σ of the kernel if it is not adapted: the default of the authors' code."""


def maxherding(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy generalized coverage (Bae, Noh and Sutherland 2024, arXiv:2407.12212).

    It maximizes the mean over all points x of max_{x'} k(x, x'), where x' runs over the labeled and
    chosen points. The kernel is k(x, x') = exp(−‖x − x'‖² / σ²) with σ = 1 on features of length
    one, as in the authors' code. The paper uses features from self-supervised learning; this
    implementation uses the last features of the network itself.

    Args:
      key: PRNG key that breaks ties.
      candidates: the candidates.
      k: how many to choose.
    """
    space = feature_space(candidates, unit_length=True)
    rows, gains = greedy_coverage(
        space.candidates,
        np.ones(len(space.candidates)),
        space.to_labeled,
        radius=RADIUS,
        available=candidates.available,
        k=k,
        tie_breaks=uniform_by_id(key, candidates.ids),
    )
    return Choice(rows, gains, {"radius": RADIUS})
