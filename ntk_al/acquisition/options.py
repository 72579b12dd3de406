"""The options of the look-ahead strategies."""

from __future__ import annotations

import dataclasses

from ntk_al._utils import checks
from ntk_al.lookahead import ScoreOptions
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from ntk_al.lookahead.options import BATCH_MODES
from ntk_al.training import TrainingConfig

RETRAINING = TrainingConfig(epochs=15, learning_rate=0.01)
"""How ``naive`` retrains for each candidate: from the trained weights, so at a tenth of the usual
learning rate."""


@dataclasses.dataclass(frozen=True)
class LookaheadOptions(ScoreOptions):
    """Options of the look-ahead strategies: those of a score, and how scores become a query.

    ``criterion`` applies to ``naive``, ``one_step``, ``last_layer`` and ``infinite_ntk``.
    Strategies that are named after a criterion always use that one.

    Attributes:
      batch_mode: how scores become a batch, a key of ``BATCH_MODES``.
      move_network: if true, a label that is revealed within a query moves the network's outputs by
        the same step as the posterior mean. Pseudo-labels and the reference for changes then follow
        the moved outputs.
      retraining: how ``naive`` trains for each candidate; ``one_step`` uses its learning rate as
        the step size.

    Raises:
      TypeError: see ``ScoreOptions``.
      ValueError: if ``batch_mode`` is unknown, the criterion does not depend on labels, or the task
        is not classification; see also ``ScoreOptions``.
    """

    batch_mode: str = "top_k"
    move_network: bool = False
    retraining: TrainingConfig = RETRAINING

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of("batch_mode", self.batch_mode, BATCH_MODES)
        if self.criterion not in LABEL_CRITERIA:
            raise ValueError(
                f"criterion={self.criterion!r} does not depend on labels, so no strategy takes it; "
                "the strategies ev_gp (variance, in greedy batches) and epig are such criteria"
            )
        if self.task != "classification":
            raise ValueError(
                f"strategies query class ids, so they do not take task={self.task!r}; "
                "lookahead.score does"
            )

    def scoring(self, criterion: str) -> ScoreOptions:
        """Returns the options of a score by another criterion, which need not depend on labels.

        Raises:
          ValueError: if the criterion is unknown or does not fit the other options.
        """
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(ScoreOptions)}
        return ScoreOptions(**{**shared, "criterion": criterion})
