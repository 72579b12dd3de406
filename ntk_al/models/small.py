"""Small networks: for 8×8 digits, for feature vectors, for a laptop."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.models.layers import batch_norm, conv
from ntk_al.types import Array


class ConvNet(nn.Module):
    """Three 3×3 convolutions, the last two with stride 2, and global average pooling.

    Attributes:
      num_classes: C.
      width: channels of the last two convolutions; the first has half as many.
    """

    num_classes: int
    width: int = 64

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        for features, stride in ((max(1, self.width // 2), 1), (self.width, 2), (self.width, 2)):
            x = nn.relu(batch_norm(conv(features, stride=stride)(x), train=train))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


class MLP(nn.Module):
    """Fully connected layers, for inputs of any shape.

    Attributes:
      num_classes: C.
      width: units of each hidden layer.
      blocks: number of hidden layers.
    """

    num_classes: int
    width: int = 256
    blocks: int = 2

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Inputs ``[N, ...]`` to logits ``[N, C]``."""
        del train  # the same in training
        x = x.reshape(len(x), -1)
        for _ in range(self.blocks):
            x = nn.relu(nn.Dense(self.width, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.num_classes)(x)
