"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from __future__ import annotations

import flax.linen as nn

from ntk_al.models.layers import batch_norm, conv, head
from ntk_al.types import Array


class WideResNet(nn.Module):
    """Pre-activation residual stages, each with twice the channels of the one before.

    ``blocks=1`` is WRN-10 and ``blocks=2`` is WRN-16 (depth 6·blocks + 4). The paper gives
    one and two blocks and a maximum width of 640, but no depth.

    Attributes:
      num_classes: C.
      blocks: residual blocks per stage.
      width: maximum width, the channels of the last stage; a multiple of 2^(stages − 1).
      stages: number of stages; the first has ``width / 2^(stages − 1)`` channels.
      dropout: rate of dropout before the last layer, 0 for none (see ``layers.head``).
    """

    num_classes: int
    blocks: int = 1
    width: int = 640
    stages: int = 3
    dropout: float = 0.0

    def __call__(self, x: Array, train: bool = False) -> Array:
        """Images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        logits, _ = self.with_stages(x, train)
        return logits

    @nn.compact
    def with_stages(self, x: Array, train: bool = False) -> tuple[Array, tuple[Array, ...]]:
        """The logits, and the sum at the end of each stage, ``[N, h, w, c]`` each."""
        narrowest = 2 ** (self.stages - 1)
        if self.width % narrowest:
            raise ValueError(
                f"the width of a WideResNet with {self.stages} stages must be a multiple of "
                f"{narrowest}, got {self.width}"
            )
        x = conv(16)(x)
        stages = []
        for stage in range(self.stages):
            features = self.width // 2 ** (self.stages - 1 - stage)
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _pre_activation_block(x, features, stride, train=train)
            stages.append(x)
        x = nn.relu(batch_norm(x, train=train))
        logits = head(x.mean((1, 2)), self.num_classes, self.dropout, train=train)
        return logits, tuple(stages)


def _pre_activation_block(x: Array, features: int, stride: int, *, train: bool) -> Array:
    activated = nn.relu(batch_norm(x, train=train))
    y = conv(features, stride=stride)(activated)
    y = conv(features)(nn.relu(batch_norm(y, train=train)))
    if x.shape != y.shape:
        x = conv(features, size=1, stride=stride)(activated)
    return x + y
