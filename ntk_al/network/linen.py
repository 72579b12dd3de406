"""How a Flax Linen module is switched between training and inference."""

from __future__ import annotations

import inspect

import flax.linen as nn

INFERENCE_ARGUMENTS: dict[str, bool] = {
    "train": False,
    "training": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
}
"""Call arguments that switch a module to inference; those that a module has are passed to it."""


def inference_arguments(module: nn.Module) -> dict[str, bool]:
    """The call arguments that switch this module to inference; none if it has no such argument."""
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: value for name, value in INFERENCE_ARGUMENTS.items() if name in parameters}


def training_arguments(module: nn.Module) -> dict[str, bool]:
    """The same arguments, for training."""
    return {name: not value for name, value in inference_arguments(module).items()}
