"""ResNet18 for small images (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.models.layers import batch_norm, conv, head
from ntk_al.types import Array


class ResNet18(nn.Module):
    """Four stages of two basic blocks after a 3×3 stem; global average pooling.

    The stem has stride 1 and no pooling, as is usual for 32×32 images.

    Attributes:
      num_classes: C.
      width: channels of the first stage; each later stage has twice the channels of the one before.
      dropout: rate of dropout before the last layer, 0 for none (see ``layers.head``).
    """

    num_classes: int
    width: int = 64
    dropout: float = 0.0

    def __call__(self, x: Array, train: bool = False) -> Array:
        """Images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        logits, _ = self.with_stages(x, train)
        return logits

    @nn.compact
    def with_stages(self, x: Array, train: bool = False) -> tuple[Array, tuple[Array, ...]]:
        """The logits, and the output of each stage, ``[N, h, w, c]`` each."""
        x = nn.relu(batch_norm(conv(self.width)(x), train=train))
        stages = []
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _basic_block(x, self.width * 2**stage, stride, train=train)
            stages.append(x)
        logits = head(x.mean((1, 2)), self.num_classes, self.dropout, train=train)
        return logits, tuple(stages)


def _basic_block(x: Array, features: int, stride: int, *, train: bool) -> Array:
    y = nn.relu(batch_norm(conv(features, stride=stride)(x), train=train))
    y = batch_norm(conv(features)(y), train=train)
    if x.shape != y.shape:
        x = batch_norm(conv(features, size=1, stride=stride)(x), train=train)
    return nn.relu(x + y)
