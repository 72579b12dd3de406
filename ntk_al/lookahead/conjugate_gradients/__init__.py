"""Conditioning on large labeled sets by conjugate gradients, without a matrix ``[L, L]``."""

from ntk_al.lookahead.conjugate_gradients.solution import Solution

__all__ = ["Solution"]
