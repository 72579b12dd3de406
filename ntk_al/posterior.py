"""The posterior of the retrained linearized network: public names of ``lookahead.posterior``."""

from ntk_al.lookahead.posterior import Factor, Points, Posterior, condition, factorize

__all__ = ["Factor", "Points", "Posterior", "condition", "factorize"]
