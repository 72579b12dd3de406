"""The choices that look-ahead strategies leave to the user."""

from __future__ import annotations

import dataclasses

from ntk_al import kernels, lookahead
from ntk_al._utils import checks
from ntk_al.network import READOUTS
from ntk_al.training import TrainingConfig

BATCH_MODES = {
    "top_k": "the k highest scores",
    "greedy": "one after the other, each conditioned on the pseudo-labels of those before",
}
"""How a look-ahead strategy makes a batch of scores."""

RETRAINING = TrainingConfig(epochs=15, learning_rate=0.01)
"""For each candidate of ``naive``: from trained weights, a tenth of the usual learning rate."""


@dataclasses.dataclass(frozen=True)
class LookaheadOptions:
    """Choices of the look-ahead strategies.

    Attributes:
      readout: see ``lookahead.score``, as for those that follow.
      reference: what a change of outputs is measured from.
      ridge: λ over the mean diagonal of the kernel.
      precision: of the Jacobian's entries.
      batch_mode: how scores make a batch, a key of ``BATCH_MODES``.
      criterion: of ``naive``, ``one_step`` and ``infinite_ntk``, a key of ``lookahead.CRITERIA``.
      move_network: whether a label that comes within a query moves the network's outputs, and so
        pseudo-labels and what changes are measured from, by the step that moves the posterior.
      retraining: how ``naive`` trains for each candidate; its learning rate is also the step of
        ``one_step``.
    """

    readout: str = "first_logit"
    reference: str = "network"
    ridge: float = 1e-4
    precision: str = "float32"
    batch_mode: str = "top_k"
    criterion: str = "mlmoc"
    move_network: bool = False
    retraining: TrainingConfig = RETRAINING

    def __post_init__(self) -> None:
        checks.one_of("readout", self.readout, (*READOUTS, lookahead.ALL_LOGITS))
        checks.one_of("reference", self.reference, lookahead.REFERENCES)
        checks.at_least("ridge", self.ridge, 0)
        checks.one_of("precision", self.precision, kernels.PRECISIONS)
        checks.one_of("batch_mode", self.batch_mode, BATCH_MODES)
        checks.one_of("criterion", self.criterion, lookahead.CRITERIA)
