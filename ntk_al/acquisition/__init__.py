"""Every strategy under one signature: ``strategy(key, candidates, k) -> Selection``.

To add a strategy that ranks candidates by a utility, write the utility and add a row. One that
chooses a set as a whole is a function of the same signature.
"""

from __future__ import annotations

import functools

from ntk_al.acquisition import look_ahead, myopic
from ntk_al.acquisition.candidates import CandidateSet, LookaheadOptions, Selection
from ntk_al.acquisition.strategy import Strategy, ranked

STRATEGIES: dict[str, Strategy] = {
    "random": ranked(myopic.random),
    "entropy": ranked(myopic.entropy),
    "margin": ranked(myopic.margin),
    "least_confidence": ranked(myopic.least_confidence),
    "residual": ranked(look_ahead.residual),
    "mlmoc": ranked(functools.partial(look_ahead.criterion, name="mlmoc")),
    "emoc": ranked(functools.partial(look_ahead.criterion, name="emoc")),
    "eer": ranked(functools.partial(look_ahead.criterion, name="eer")),
    "flips": ranked(functools.partial(look_ahead.criterion, name="flips")),
}

__all__ = ["STRATEGIES", "CandidateSet", "LookaheadOptions", "Selection", "Strategy", "ranked"]
