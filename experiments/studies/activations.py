"""Activations of the networks of the theory."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax

from ntk_al.types import Array

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "relu": (jax.nn.relu, math.sqrt(2)),
    "erf": (jax.lax.erf, math.sqrt(math.pi / (2 * math.asin(2 / 3)))),
}
"""φ, and the gain 1 / √E φ(z)² for z ~ N(0, 1)."""
