"""Call arguments by which modules are switched between inference and training."""

from __future__ import annotations

import inspect

INFERENCE_ARGUMENTS: dict[str, bool] = {
    "train": False,
    "training": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
}
"""Call arguments that switch a module to inference. Each module is passed those that it has."""


def inference_arguments(module: type) -> dict[str, bool]:
    """Returns the call arguments, possibly none, that switch modules of a class to inference."""
    parameters = inspect.signature(module.__call__).parameters
    return {name: value for name, value in INFERENCE_ARGUMENTS.items() if name in parameters}


def training_arguments(module: type) -> dict[str, bool]:
    """Returns the call arguments, possibly none, that switch modules of a class to training."""
    return {name: not value for name, value in inference_arguments(module).items()}
