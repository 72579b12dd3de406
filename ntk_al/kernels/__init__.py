"""Gram blocks of the empirical tangent kernel."""

from ntk_al.kernels.gram import blocks, diagonal, gram
from ntk_al.kernels.products import PRECISIONS

__all__ = ["PRECISIONS", "blocks", "diagonal", "gram"]
