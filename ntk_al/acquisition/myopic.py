"""Utilities that look at the present outputs alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntk_al import criteria
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import uniform_by_id
from ntk_al.types import Array


def random(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """Uniform sampling without replacement."""
    return jnp.asarray(uniform_by_id(key, candidates.ids)), {}


def entropy(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """Entropy of softmax (Shannon 1948; Settles 2009, Section 3.1)."""
    del key
    return criteria.entropy(candidates.logits), {}


def margin(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """Smallest p₍₁₎ − p₍₂₎ of softmax first, so its negative (Scheffer et al. 2001)."""
    del key
    best = jax.lax.top_k(jax.nn.softmax(candidates.logits), 2)[0]
    return best[:, 1] - best[:, 0], {}


def least_confidence(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """1 − p₍₁₎ of softmax (Lewis and Gale 1994)."""
    del key
    return 1 - jax.nn.softmax(candidates.logits).max(1), {}
