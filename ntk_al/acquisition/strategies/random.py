"""The baseline of all baselines."""

from __future__ import annotations

import jax.numpy as jnp

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import uniform_by_id
from ntk_al.types import Array


def random(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """Uniform sampling without replacement."""
    return jnp.asarray(uniform_by_id(key, candidates.ids)), {}
