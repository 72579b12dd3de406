"""Names that differ between the supported releases of JAX, in one place.

The names of primitives are in ``ntk_al._programs.primitives``.
"""

from __future__ import annotations

import contextlib

import jax

CONVOLUTIONS_ON_MESHES = jax.__version_info__ >= (0, 8)
"""Whether gradients of convolutions for each example can be computed on several devices."""


def enable_x64(enable: bool = True) -> contextlib.AbstractContextManager[object]:
    """Enables float64 inside a block, or disables it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enable)
    # JAX 0.7 has it elsewhere.
    from jax.experimental import enable_x64 as former_enable_x64  # type: ignore[attr-defined]

    return former_enable_x64(enable)
