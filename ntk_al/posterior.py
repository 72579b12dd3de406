"""The posterior of the retrained linearized network: the public names of ``lookahead`` for it."""

from ntk_al.lookahead.factorization import Factor, Points, factorize
from ntk_al.lookahead.posterior import Posterior, condition

__all__ = ["Factor", "Points", "Posterior", "condition", "factorize"]
