"""The notation of the package, and the data that more than one module speaks of.

=============  ===============================================================================
symbol         meaning
=============  ===============================================================================
L, U, E        numbers of labeled points, of candidates (the pool), of evaluation points
Q              number of query points: the points at which a posterior is known
C, P           numbers of classes and of parameters
f(x)           logits of the trained network, BatchNorm in inference mode, ``[C]``
g(x)           scalar read-out of the logits whose gradient makes the kernel
Θ(x, x')       ⟨∂g(x)/∂θ, ∂g(x')/∂θ⟩, the empirical tangent kernel; the same for every class
λ              ``ridge`` × mean diag Θ(L, L); ``ridge`` has no unit
A              Θ(L, L) + λI, ``[L, L]``
R              Y − f(X_L), the residual that training left, ``[L, C]``
S(x, x')       Θ(x, x') − Θ(x, L) A⁻¹ Θ(L, x'), what is left of Θ once L is known
=============  ===============================================================================

"The paper" is Mohamadi, Bae and Sutherland, "Making Look-Ahead Active Learning Strategies Feasible
with Neural Tangent Kernels", NeurIPS 2022, arXiv:2206.12569.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Array = jax.Array
ArrayLike = jax.Array | np.ndarray
PyTree = Any
LogitReadout = Callable[[Array], Array]
"""Logits ``[..., C]`` to the scalar read-out ``[...]``."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GramBlocks:
    """The blocks of the tangent kernel that a look-ahead needs; without an evaluation set, E is U.

    Attributes:
      labeled: Θ(L, L), ``[L, L]``.
      labeled_pool: Θ(L, U), ``[L, U]``.
      labeled_eval: Θ(L, E), ``[L, E]``.
      eval_pool: Θ(E, U), ``[E, U]``.
      pool_diagonal: diag Θ(U, U), ``[U]``.
    """

    labeled: Array
    labeled_pool: Array
    labeled_eval: Array
    eval_pool: Array
    pool_diagonal: Array

    @classmethod
    def square(cls, labeled: Array, labeled_query: Array, query: Array) -> GramBlocks:
        """The blocks where the query points are both candidates and evaluation points.

        Args:
          labeled: Θ(L, L), ``[L, L]``.
          labeled_query: Θ(L, Q), ``[L, Q]``.
          query: Θ(Q, Q), ``[Q, Q]``.
        """
        return cls(labeled, labeled_query, labeled_query, query, query.diagonal())
