"""Dropout of NNX that a call cannot switch off; a module of its own, because NNX loads slowly."""

from __future__ import annotations

from typing import Any

from flax import nnx

from ntk_al.types import Array


class ActiveDropout(nnx.Dropout):
    """Dropout that stays active even if a call asks it to be deterministic."""

    def __call__(self, inputs: Array, *, deterministic: Any = None, rngs: Any = None) -> Array:
        """Drops units of ``inputs``, ``[...]``, and returns an array of the same shape."""
        del deterministic
        return super().__call__(inputs, deterministic=False, rngs=rngs)
