"""Gram blocks of the empirical tangent kernel, and of its infinite-width limit."""

from ntk_al.kernels.gram import blocks, diagonal, gram
from ntk_al.kernels.infinite import infinite_blocks, infinite_gram
from ntk_al.kernels.joint import joint_blocks, joint_diagonal, joint_gram
from ntk_al.kernels.products import PRECISIONS
from ntk_al.kernels.sketching import sketch
from ntk_al.kernels.twins import TWINS

__all__ = [
    "PRECISIONS",
    "TWINS",
    "blocks",
    "diagonal",
    "gram",
    "infinite_blocks",
    "infinite_gram",
    "joint_blocks",
    "joint_diagonal",
    "joint_gram",
    "sketch",
]
