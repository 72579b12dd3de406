"""Look-ahead: scores for how much each possible label would change the retrained network."""

from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.options import (
    ALL_LOGITS,
    APPROXIMATIONS,
    BATCH_MODES,
    REFERENCES,
    SOLVERS,
    ScoreOptions,
)
from ntk_al.lookahead.probabilities import predictive
from ntk_al.lookahead.scoring import score, score_posterior
from ntk_al.lookahead.selection import Diagnostics, Selection, select
from ntk_al.lookahead.tasks import TASKS

__all__ = [
    "ALL_LOGITS",
    "APPROXIMATIONS",
    "BATCH_MODES",
    "CRITERIA",
    "REFERENCES",
    "SOLVERS",
    "TASKS",
    "Diagnostics",
    "ScoreOptions",
    "Selection",
    "predictive",
    "score",
    "score_posterior",
    "select",
]
