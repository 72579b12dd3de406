"""Random queries, the basic baseline."""

from __future__ import annotations

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, uniform_by_id
from ntk_al.types import Array


def random(key: Array, candidates: CandidateSet) -> Utilities:
    """Uniform sampling without replacement; ``key`` decides the draw."""
    return Utilities(uniform_by_id(key, candidates.ids))
