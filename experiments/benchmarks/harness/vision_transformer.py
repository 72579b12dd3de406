"""A vision transformer in Flax NNX (Dosovitskiy et al. 2021), in the sizes of DeiT-Tiny.

It is no model of the package: it stands for the networks that users bring.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from ntk_al.types import Array

_DEPTH = 12
_HEAD_WIDTH = 64
_PATCH = 4


class Block(nnx.Module):
    """Attention and a perceptron, each on normalized tokens and added to them."""

    def __init__(self, width: int, num_heads: int, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(num_heads, width, decode=False, rngs=rngs)
        self.wide = nnx.Linear(width, 4 * width, rngs=rngs)
        self.narrow = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Maps tokens ``[N, T, width]`` to tokens."""
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(nnx.gelu(self.wide(self.norm2(x))))


class VisionTransformer(nnx.Module):
    """Patches as tokens, learned positions, and a linear head on the token of the class.

    Args:
      num_classes: C.
      width: the width of a token, 192 in DeiT-Tiny.
      image: height, width and channels of the inputs.
      rngs: the PRNG keys of the initialization.
      depth: the number of blocks, 12 in DeiT-Tiny.
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        image: Sequence[int],
        rngs: nnx.Rngs,
        depth: int = _DEPTH,
    ) -> None:
        height, breadth, channels = image
        tokens = (height // _PATCH) * (breadth // _PATCH) + 1
        sides = (_PATCH, _PATCH)
        self.patches = nnx.Conv(channels, width, sides, strides=sides, padding="VALID", rngs=rngs)
        normal = nnx.initializers.normal(0.02)
        self.token = nnx.Param(normal(rngs.params(), (1, 1, width)))
        self.positions = nnx.Param(normal(rngs.params(), (1, tokens, width)))
        heads = max(1, width // _HEAD_WIDTH)
        self.blocks = nnx.Sequential(*[Block(width, heads, rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Maps images ``[N, H, W, channels]`` to logits ``[N, C]``."""
        x = self.patches(x)
        x = x.reshape(len(x), -1, x.shape[-1])
        token = jnp.broadcast_to(self.token[...], (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([token, x], axis=1) + self.positions[...]
        return self.head(self.norm(self.blocks(x))[:, 0])
