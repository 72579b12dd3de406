"""ResNet18 for small images (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.models.layers import batch_norm, conv
from ntk_al.types import Array


class ResNet18(nn.Module):
    """Four stages of two basic blocks after a 3×3 stem; global average pooling.

    The stem has stride 1 and no pooling, as is usual for 32×32 images.

    Attributes:
      num_classes: C.
      width: channels of the first stage; each later stage has twice the channels of the one before.
    """

    num_classes: int
    width: int = 64

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        x = nn.relu(batch_norm(conv(self.width)(x), train=train))
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _basic_block(x, self.width * 2**stage, stride, train=train)
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


def _basic_block(x: Array, features: int, stride: int, *, train: bool) -> Array:
    y = nn.relu(batch_norm(conv(features, stride=stride)(x), train=train))
    y = batch_norm(conv(features)(y), train=train)
    if x.shape != y.shape:
        x = batch_norm(conv(features, size=1, stride=stride)(x), train=train)
    return nn.relu(x + y)
