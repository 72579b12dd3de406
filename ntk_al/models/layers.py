"""Layers that the models share."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.types import Array


def conv(features: int, size: int = 3, stride: int = 1, name: str | None = None) -> nn.Conv:
    """A square convolution, He-initialized; a BatchNorm before or after it replaces its bias."""
    return nn.Conv(
        features,
        (size, size),
        (stride, stride),
        use_bias=False,
        kernel_init=nn.initializers.he_normal(),
        name=name,
    )


def batch_norm(x: Array, *, train: bool) -> Array:
    """BatchNorm with momentum 0.9.

    At Flax's default of 0.99 the running statistics are still wrong after the hundred steps that a
    small labeled set allows.
    """
    return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)


def head(features: Array, num_classes: int, dropout: float, *, train: bool) -> Array:
    """The last layer, with dropout of its inputs if the rate is above 0; ``[N, d]`` to ``[N, C]``.

    There is no dropout elsewhere. Dropout before a BatchNorm makes the variance differ between
    training and inference, so the running statistics would be wrong (Li et al. 2019,
    arXiv:1801.05134); no BatchNorm follows this layer. Draws of dropout therefore change the
    weights of the last layer only.
    """
    if dropout > 0:
        features = nn.Dropout(dropout, deterministic=not train)(features)
    return nn.Dense(num_classes)(features)
