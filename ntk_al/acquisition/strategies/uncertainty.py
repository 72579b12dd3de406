"""Uncertainty sampling: candidates whose predicted class is least certain."""

from __future__ import annotations

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.types import Array


def entropy(key: Array, candidates: CandidateSet) -> Utilities:
    """The entropy of p(y | x) (Shannon 1948; Settles 2009, Section 3.1)."""
    del key
    return Utilities(candidates.predictive.entropy(np.asarray(candidates.logits, np.float64)))


def margin(key: Array, candidates: CandidateSet) -> Utilities:
    """The negative margin −(p₍₁₎ − p₍₂₎) of p(y | x) (Scheffer et al. 2001)."""
    del key
    p = np.sort(candidates.probabilities, axis=1)
    return Utilities(p[:, -2] - p[:, -1])


def least_confidence(key: Array, candidates: CandidateSet) -> Utilities:
    """1 − p₍₁₎, the probability that the most likely class is wrong (Lewis and Gale 1994)."""
    del key
    return Utilities(1 - candidates.probabilities.max(1))
