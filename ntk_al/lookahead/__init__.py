"""Look-ahead: a posterior over retrained outputs, and scores of what each label would change."""

from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.options import ALL_LOGITS, REFERENCES, ScoreOptions
from ntk_al.lookahead.scoring import score, score_posterior

__all__ = ["ALL_LOGITS", "CRITERIA", "REFERENCES", "ScoreOptions", "score", "score_posterior"]
