"""Scalar read-outs of the logits; the gradient of a read-out defines the kernel."""

from __future__ import annotations

import jax.numpy as jnp

from ntk_al.types import Array, LogitReadout


def first_logit(logits: Array) -> Array:
    """The first logit f⁽¹⁾, which gives the single-logit kernel of the paper's Section 3.3.

    Args:
      logits: ``[..., C]``.

    Returns:
      ``[...]``.
    """
    return logits[..., 0]


def sum_logits(logits: Array) -> Array:
    """Σ_c f_c / √C, which gives the kernel of the authors' code, later called the pseudo-NTK.

    Args:
      logits: ``[..., C]``.

    Returns:
      ``[...]``.

    Examples:
      >>> print(sum_logits(jnp.array([1.0, 2.0, 3.0, 4.0])))
      5.0
    """
    return logits.sum(-1) / jnp.sqrt(logits.shape[-1]).astype(logits.dtype)


READOUTS: dict[str, LogitReadout] = {"first_logit": first_logit, "sum_logits": sum_logits}
"""The read-outs g by name."""
