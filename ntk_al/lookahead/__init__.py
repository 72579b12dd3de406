"""Look-ahead: scores for how much each possible label would change the retrained network."""

from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.options import ALL_LOGITS, REFERENCES, ScoreOptions
from ntk_al.lookahead.scoring import score, score_posterior
from ntk_al.lookahead.tasks import TASKS

__all__ = [
    "ALL_LOGITS",
    "CRITERIA",
    "REFERENCES",
    "TASKS",
    "ScoreOptions",
    "score",
    "score_posterior",
]
