"""All strategies by name, with one file per method.

To add a strategy that ranks candidates, write its utility and add a row with ``ranked``, or with
``label_aware`` if the utility changes as labels arrive. To add one that chooses a set as a whole,
write a function of a key, the candidates and k, and add a row with ``jointly``.
"""

from __future__ import annotations

from ntk_al.acquisition.strategies.badge import badge
from ntk_al.acquisition.strategies.bait import bait
from ntk_al.acquisition.strategies.bald import bald
from ntk_al.acquisition.strategies.batchbald import batchbald
from ntk_al.acquisition.strategies.coreset import coreset
from ntk_al.acquisition.strategies.criteria import of_criterion
from ntk_al.acquisition.strategies.ev_gp import explained_variance
from ntk_al.acquisition.strategies.expected_gradient_length import expected_gradient_length
from ntk_al.acquisition.strategies.gp import gp, gp_outputs
from ntk_al.acquisition.strategies.infinite_ntk import infinite_ntk, infinite_ntk_outputs
from ntk_al.acquisition.strategies.itl import itl
from ntk_al.acquisition.strategies.last_layer import last_layer, last_layer_outputs
from ntk_al.acquisition.strategies.lcmd import lcmd
from ntk_al.acquisition.strategies.learning_loss import learning_loss
from ntk_al.acquisition.strategies.maxherding import maxherding
from ntk_al.acquisition.strategies.naive import naive
from ntk_al.acquisition.strategies.ntkcpl import ntkcpl
from ntk_al.acquisition.strategies.one_step import one_step
from ntk_al.acquisition.strategies.probcover import probcover
from ntk_al.acquisition.strategies.random import random
from ntk_al.acquisition.strategies.residual import residual
from ntk_al.acquisition.strategies.typiclust import typiclust
from ntk_al.acquisition.strategies.uherding import uherding
from ntk_al.acquisition.strategies.uncertainty import entropy, least_confidence, margin
from ntk_al.acquisition.strategy import (
    Strategy,
    jointly,
    label_aware,
    network_outputs,
    ranked,
)
from ntk_al.lookahead.criteria import LABEL_CRITERIA

_DROPOUT = ("dropout",)
_FEATURES = ("features",)
_TWIN = ("infinite_twin",)

STRATEGIES: dict[str, Strategy] = {
    # The present outputs.
    "random": ranked(random),
    "entropy": ranked(entropy),
    "margin": ranked(margin),
    "least_confidence": ranked(least_confidence),
    "bald": ranked(bald, needs=_DROPOUT),
    "batchbald": jointly(batchbald, needs=_DROPOUT),
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
    **{name: label_aware(of_criterion(name)) for name in (*LABEL_CRITERIA, "epig")},
    "residual": label_aware(residual),
    "ev_gp": jointly(explained_variance),
    "itl": label_aware(itl),
    "ntkcpl": label_aware(ntkcpl, needs=_FEATURES, outputs=network_outputs),
    "last_layer": label_aware(last_layer, needs=_FEATURES, outputs=last_layer_outputs),
    "infinite_ntk": label_aware(infinite_ntk, needs=_TWIN, outputs=infinite_ntk_outputs),
    "gp": label_aware(gp, needs=_TWIN, outputs=gp_outputs),
    "naive": label_aware(naive, retrains=True, outputs=network_outputs),
    "one_step": ranked(one_step, retrains=True),
}
