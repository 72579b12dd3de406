"""Learning loss: a utility that is the loss predicted by the network itself."""

from __future__ import annotations

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.models import predicted_losses
from ntk_al.types import Array


def learning_loss(key: Array, candidates: CandidateSet) -> Utilities:
    """The predicted loss of Yoo and Kweon 2019 (arXiv:1905.03677, Section 3.1), highest first.

    The network must have been trained with a loss-prediction module, which
    ``models.with_loss_prediction`` adds. ``training.losses`` holds the loss of that module, Eq. 2
    and 3. The paper ranks a random subset of the pool, which here is the set of candidates.

    In a sequential query, the predictions are always those of the trained network, so the choices
    are the same as those of a batch.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    return Utilities(candidates.once(_predicted_losses))


def _predicted_losses(given: CandidateSet) -> Array:
    return predicted_losses(given.network, given.x)
