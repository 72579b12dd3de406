"""Uncertainty sampling: candidates whose predicted class is least certain."""

from __future__ import annotations

import jax

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.lookahead import criteria
from ntk_al.types import Array


def entropy(key: Array, candidates: CandidateSet) -> Utilities:
    """The entropy of the softmax (Shannon 1948; Settles 2009, Section 3.1)."""
    del key
    return Utilities(criteria.entropy(candidates.logits))


def margin(key: Array, candidates: CandidateSet) -> Utilities:
    """The negative margin −(p₍₁₎ − p₍₂₎) of the softmax (Scheffer et al. 2001)."""
    del key
    best = jax.lax.top_k(jax.nn.softmax(candidates.logits), 2)[0]
    return Utilities(best[:, 1] - best[:, 0])


def least_confidence(key: Array, candidates: CandidateSet) -> Utilities:
    """1 − p₍₁₎ of the softmax (Lewis and Gale 1994)."""
    del key
    return Utilities(1 - jax.nn.softmax(candidates.logits).max(1))
