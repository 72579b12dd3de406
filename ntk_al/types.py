"""The notation of the package, and the types that several modules share.

=============  ===============================================================================
symbol         meaning
=============  ===============================================================================
L, U, E        the labeled points, the candidates (the pool) and the evaluation points; in a shape,
               how many there are
Q              the query points: the points at which a posterior is computed
C, P           numbers of classes and of parameters
f(x)           logits of the trained network with BatchNorm in inference mode, ``[C]``
g(x)           scalar read-out of the logits whose gradient defines the kernel
Θ(x, x')       ⟨∂g(x)/∂θ, ∂g(x')/∂θ⟩, the empirical tangent kernel, shared by all classes
λ              ``ridge`` × mean diag Θ(L, L); ``ridge`` itself is dimensionless
A              Θ(L, L) + λI, ``[L, L]``
R              Y − f(X_L), the residual of the trained network, ``[L, C]``
S(x, x')       Θ(x, x') − Θ(x, L) A⁻¹ Θ(L, x'), the covariance given the labels
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
"""A function from logits ``[..., C]`` to a scalar read-out ``[...]``."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GramBlocks:
    """The blocks of the tangent kernel that a look-ahead needs.

    Without a separate evaluation set, the candidates are also the evaluation points.

    Attributes:
      labeled: Θ(L, L), ``[L, L]``.
      labeled_pool: Θ(L, U), ``[L, U]``.
      labeled_eval: Θ(L, E), ``[L, E]``.
      eval_pool: Θ(E, U), ``[E, U]``.
      pool_diagonal: diag Θ(U, U), ``[U]``.
      eval_diagonal: diag Θ(E, E), ``[E]``.
    """

    labeled: Array
    labeled_pool: Array
    labeled_eval: Array
    eval_pool: Array
    pool_diagonal: Array
    eval_diagonal: Array

    @classmethod
    def square(cls, labeled: Array, labeled_query: Array, query: Array) -> GramBlocks:
        """The blocks for query points that are both candidates and evaluation points.

        Args:
          labeled: Θ(L, L), ``[L, L]``.
          labeled_query: Θ(L, Q), ``[L, Q]``.
          query: Θ(Q, Q), ``[Q, Q]``.

        Returns:
          Blocks with U = E = Q.
        """
        diagonal = query.diagonal()
        return cls(labeled, labeled_query, labeled_query, query, diagonal, diagonal)
