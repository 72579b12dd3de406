"""Strategies, all called as ``strategy(key, candidates, k) -> Selection``, and the pool."""

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.options import LookaheadOptions
from ntk_al.acquisition.pool import Pool
from ntk_al.acquisition.requirements import check
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.acquisition.selection import Selection
from ntk_al.acquisition.strategies import STRATEGIES
from ntk_al.acquisition.strategy import Choice, Strategy, Utilities, jointly, label_aware, ranked
from ntk_al.lookahead.options import APPROXIMATIONS, BATCH_MODES, SOLVERS

__all__ = [
    "APPROXIMATIONS",
    "BATCH_MODES",
    "SCHEMES",
    "SOLVERS",
    "STRATEGIES",
    "CandidateSet",
    "Choice",
    "LookaheadOptions",
    "Pool",
    "Selection",
    "Strategy",
    "Utilities",
    "check",
    "jointly",
    "label_aware",
    "ranked",
]
