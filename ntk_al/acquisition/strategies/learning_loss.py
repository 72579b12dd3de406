"""A utility from a loss that the network itself predicts."""

from __future__ import annotations

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.models import predicted_losses
from ntk_al.types import Array


def learning_loss(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """The predicted loss of Yoo and Kweon 2019 (arXiv:1905.03677, Section 3.1), highest first.

    The network must have been trained with a loss-prediction module, from
    ``models.with_loss_prediction``; ``objectives`` has the loss of that module, Eq. 2 and 3. The
    paper ranks a random subset of the pool, which here are the candidates.

    In sequential mode the predictions remain those of the trained network, so the choices are the
    same as those of a batch.
    """
    del key
    predicted = candidates.once(
        "predicted losses", lambda: predicted_losses(candidates.network, candidates.x)
    )
    return predicted, {}
