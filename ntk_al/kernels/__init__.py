"""Gram blocks of the empirical tangent kernel."""

from ntk_al.kernels.gram import blocks, diagonal, gram

__all__ = ["blocks", "diagonal", "gram"]
