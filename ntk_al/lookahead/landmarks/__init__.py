"""Look-ahead from a few columns of the kernel: landmarks of the posterior covariance."""

from ntk_al.lookahead.landmarks.build import condition, first_rank
from ntk_al.lookahead.landmarks.posterior import LandmarkPosterior
from ntk_al.lookahead.landmarks.scores import scores

__all__ = ["LandmarkPosterior", "condition", "first_rank", "scores"]
