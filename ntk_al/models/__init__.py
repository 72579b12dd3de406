"""Flax Linen networks, by name.

Every model maps images ``[N, H, W, channels]`` (``mlp``: inputs of any shape) to logits ``[N, C]``
through ``module.apply(variables, x, train=False)``. To add a model, write it and add a row to
``MODELS``. A model with a method ``with_stages``, as ``ResNet18`` has, can also predict its losses.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn

from ntk_al._utils import checks
from ntk_al.models.loss_prediction import (
    WithLossPrediction,
    has_stages,
    predicted_losses,
    with_loss_prediction,
)
from ntk_al.models.resnet import ResNet18
from ntk_al.models.small import MLP, ConvNet
from ntk_al.models.wide_resnet import WideResNet

MODELS: dict[str, type[nn.Module]] = {
    "resnet18": ResNet18,
    "wide_resnet": WideResNet,
    "convnet": ConvNet,
    "mlp": MLP,
}


def build(name: str, num_classes: int, **options: float | None) -> nn.Module:
    """Builds a model by name.

    Args:
      name: a key of ``MODELS``.
      num_classes: C.
      **options: attributes of the module, such as ``width``, ``blocks`` and ``dropout``; ``None``
        keeps the model's own default.

    Returns:
      The module, without variables.

    Raises:
      ValueError: an unknown model, an option that the model does not have (the message lists its
        options), or a value out of range.

    Examples:
      >>> build("mlp", 10, width=32, blocks=None).width
      32
    """
    checks.one_of("model", name, MODELS)
    model = MODELS[name]
    known = {field.name for field in dataclasses.fields(model)} - {"parent", "name", "num_classes"}
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if key not in known:
            has = ", ".join(sorted(known)) or "none"
            raise ValueError(f"the model {name!r} has no option {key!r}; its options: {has}")
        (checks.rate if key == "dropout" else checks.positive)(key, value)
    return model(num_classes=num_classes, **given)


__all__ = [
    "MLP",
    "MODELS",
    "ConvNet",
    "ResNet18",
    "WideResNet",
    "WithLossPrediction",
    "build",
    "has_stages",
    "predicted_losses",
    "with_loss_prediction",
]
