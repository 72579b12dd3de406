"""Trained networks, their read-outs, and what can be read from inside them."""

from ntk_al.network.arguments import INFERENCE_ARGUMENTS
from ntk_al.network.network import Network
from ntk_al.network.predictive import PREDICTIVES, Predictive
from ntk_al.network.readouts import READOUTS, first_logit, sum_logits

__all__ = [
    "INFERENCE_ARGUMENTS",
    "PREDICTIVES",
    "READOUTS",
    "Network",
    "Predictive",
    "first_logit",
    "sum_logits",
]
