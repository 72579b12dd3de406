"""Scalar read-outs of the logits, whose gradient makes the kernel."""

from __future__ import annotations

import jax.numpy as jnp

from ntk_al.types import Array, LogitReadout


def first_logit(logits: Array) -> Array:
    """The first logit f⁽¹⁾: the single-logit kernel of the paper's Section 3.3."""
    return logits[..., 0]


def sum_logits(logits: Array) -> Array:
    """Σ_c f_c / √C: the kernel of the authors' released code, later called the pseudo-NTK."""
    return logits.sum(-1) / jnp.sqrt(logits.shape[-1]).astype(logits.dtype)


READOUTS: dict[str, LogitReadout] = {"first_logit": first_logit, "sum_logits": sum_logits}
"""Read-outs g(x) by name."""
