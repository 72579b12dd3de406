"""The choices that look-ahead strategies leave to the user."""

from __future__ import annotations

import dataclasses

from ntk_al._utils import checks
from ntk_al.lookahead import ScoreOptions
from ntk_al.training import TrainingConfig

BATCH_MODES = {
    "top_k": "the k highest scores",
    "greedy": "one after the other, each conditioned on the pseudo-labels of those before",
}
"""How a look-ahead strategy makes a batch of scores."""

RETRAINING = TrainingConfig(epochs=15, learning_rate=0.01)
"""For each candidate of ``naive``: from trained weights, a tenth of the usual learning rate."""


@dataclasses.dataclass(frozen=True)
class LookaheadOptions(ScoreOptions):
    """Choices of the look-ahead strategies: those of a score, and how scores make a query.

    ``criterion`` is that of ``naive``, ``one_step`` and ``infinite_ntk``; strategies that are named
    after a criterion use that one.

    Attributes:
      batch_mode: how scores make a batch, a key of ``BATCH_MODES``.
      move_network: whether a label that is revealed within a query also moves the network's
        outputs, and with them pseudo-labels and what changes are measured from, by the step that
        moves the posterior.
      retraining: how ``naive`` trains for each candidate; its learning rate is also the step of
        ``one_step``.
    """

    batch_mode: str = "top_k"
    move_network: bool = False
    retraining: TrainingConfig = RETRAINING

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of("batch_mode", self.batch_mode, BATCH_MODES)
