"""MaxHerding: labels near to all points."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.features.coverage import greedy_coverage
from ntk_al.acquisition.features.feature_space import feature_space
from ntk_al.acquisition.strategy import Choice, uniform_by_id
from ntk_al.types import Array

RADIUS = 1.0
"""Radius of the kernel where none is adapted: the default of the authors' code."""


def maxherding(key: Array, candidates: CandidateSet, k: int) -> Choice:
    """Greedy generalized coverage (Bae, Noh and Sutherland 2024, arXiv:2407.12212).

    Maximizes the mean over points x of max_{x'} k(x, x') over labeled and chosen points x', with
    k(x, x') = exp(−‖x − x'‖² / σ²) and σ = 1 on features of length one, as in the authors' code.
    The paper takes features of self-supervised learning; these are the network's own last ones.
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
