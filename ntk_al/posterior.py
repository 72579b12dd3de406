"""The posterior of the retrained linearized network, under the name of its mathematics."""

from ntk_al.lookahead.posterior import Factor, Points, Posterior, condition, factorize

__all__ = ["Factor", "Points", "Posterior", "condition", "factorize"]
