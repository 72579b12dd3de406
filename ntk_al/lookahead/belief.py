"""What a look-ahead can know of the retrained network, in three forms of its covariance."""

from __future__ import annotations

from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.landmarks.posterior import LandmarkPosterior
from ntk_al.lookahead.posterior import Posterior

Belief = Posterior | FullPosterior | LandmarkPosterior
"""One kernel for all classes, one for every pair of classes, or one known at landmarks."""
