"""Gram matrices of the empirical tangent kernel and of its infinite-width limit."""

from ntk_al.kernels.empirical.full import full_blocks, full_diagonal, full_gram
from ntk_al.kernels.empirical.gram import blocks, diagonal, gram
from ntk_al.kernels.empirical.rounding import PRECISIONS
from ntk_al.kernels.empirical.sketch import sketch
from ntk_al.kernels.infinite.gram import infinite_blocks, infinite_gram
from ntk_al.kernels.infinite.twins import TWINS

__all__ = [
    "PRECISIONS",
    "TWINS",
    "blocks",
    "diagonal",
    "full_blocks",
    "full_diagonal",
    "full_gram",
    "gram",
    "infinite_blocks",
    "infinite_gram",
    "sketch",
]
