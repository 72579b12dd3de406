"""Every strategy under one signature: ``strategy(key, candidates, k) -> Selection``.

To add a strategy that ranks candidates by a utility, write the utility and add a row. One that
chooses a set as a whole is a function of the candidates and k, made a strategy by ``jointly``.
"""

from __future__ import annotations

import functools

from ntk_al.acquisition import look_ahead, myopic
from ntk_al.acquisition.badge import badge
from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.acquisition.coreset import coreset
from ntk_al.acquisition.disagreement import bald
from ntk_al.acquisition.fisher import bait
from ntk_al.acquisition.gradient_length import expected_gradient_length
from ntk_al.acquisition.herding import maxherding, uherding
from ntk_al.acquisition.infinite import gp, gp_outputs, infinite_ntk
from ntk_al.acquisition.lcmd import lcmd
from ntk_al.acquisition.learning_loss import learning_loss
from ntk_al.acquisition.options import BATCH_MODES, LookaheadOptions
from ntk_al.acquisition.probcover import probcover
from ntk_al.acquisition.requirements import check
from ntk_al.acquisition.retraining import naive, one_step
from ntk_al.acquisition.strategy import Strategy, jointly, ranked
from ntk_al.acquisition.typiclust import typiclust

_FEATURES = ("features",)
_TWIN = ("infinite_twin",)

STRATEGIES: dict[str, Strategy] = {
    # The present outputs.
    "random": ranked(myopic.random),
    "entropy": ranked(myopic.entropy),
    "margin": ranked(myopic.margin),
    "least_confidence": ranked(myopic.least_confidence),
    "bald": ranked(bald, needs=("dropout",)),
    "learning_loss": ranked(learning_loss, needs=("loss_prediction",)),
    # Gradients and features.
    "expected_gradient_length": ranked(expected_gradient_length),
    "badge": jointly(badge, needs=_FEATURES),
    "bait": jointly(bait, needs=_FEATURES),
    "lcmd": jointly(lcmd),
    "coreset": jointly(coreset, needs=_FEATURES),
    "typiclust": jointly(typiclust, needs=_FEATURES),
    "probcover": jointly(probcover, needs=_FEATURES),
    "maxherding": jointly(maxherding, needs=_FEATURES),
    "uherding": jointly(uherding, needs=_FEATURES),
    # Look-ahead.
    "mlmoc": look_ahead.look_ahead(functools.partial(look_ahead.criterion, name="mlmoc")),
    "emoc": look_ahead.look_ahead(functools.partial(look_ahead.criterion, name="emoc")),
    "eer": look_ahead.look_ahead(functools.partial(look_ahead.criterion, name="eer")),
    "flips": look_ahead.look_ahead(functools.partial(look_ahead.criterion, name="flips")),
    "residual": look_ahead.look_ahead(look_ahead.residual),
    "ev_gp": jointly(look_ahead.explained_variance),
    "infinite_ntk": look_ahead.look_ahead(infinite_ntk, needs=_TWIN),
    "gp": look_ahead.look_ahead(gp, needs=_TWIN, outputs=gp_outputs),
    "naive": look_ahead.look_ahead(naive),
    "one_step": ranked(one_step),
}

__all__ = [
    "BATCH_MODES",
    "STRATEGIES",
    "CandidateSet",
    "LookaheadOptions",
    "Selection",
    "Strategy",
    "check",
    "jointly",
    "ranked",
]
