"""Look-ahead: a posterior over retrained outputs, and scores of what each label would change."""

from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.scoring import ALL_LOGITS, REFERENCES, score, score_posterior

__all__ = ["ALL_LOGITS", "CRITERIA", "REFERENCES", "score", "score_posterior"]
