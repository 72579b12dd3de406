"""Small networks: for 8×8 digits, for feature vectors, for a laptop."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.models.layers import batch_norm, conv, head
from ntk_al.types import Array


class ConvNet(nn.Module):
    """Three 3×3 convolutions, the last two with stride 2, and global average pooling.

    Attributes:
      num_classes: C.
      width: channels of the last two convolutions; the first has half as many.
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
        """The logits, and the output of each convolution, ``[N, h, w, c]`` each."""
        stages = []
        for features, stride in ((max(1, self.width // 2), 1), (self.width, 2), (self.width, 2)):
            x = nn.relu(batch_norm(conv(features, stride=stride)(x), train=train))
            stages.append(x)
        logits = head(x.mean((1, 2)), self.num_classes, self.dropout, train=train)
        return logits, tuple(stages)


class MLP(nn.Module):
    """Fully connected layers, for inputs of any shape.

    Attributes:
      num_classes: C.
      width: units of each hidden layer.
      blocks: number of hidden layers.
      dropout: rate of dropout before the last layer, 0 for none (see ``layers.head``).
    """

    num_classes: int
    width: int = 256
    blocks: int = 2
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Inputs ``[N, ...]`` to logits ``[N, C]``."""
        x = x.reshape(len(x), -1)
        for _ in range(self.blocks):
            x = nn.relu(nn.Dense(self.width, kernel_init=nn.initializers.he_normal())(x))
        return head(x, self.num_classes, self.dropout, train=train)
