"""The labeled set, conditioned on by the solver that the options name."""

from __future__ import annotations

from ntk_al._utils import checks
from ntk_al.lookahead import conjugate_gradients, ridges
from ntk_al.lookahead.factorization import Conditioned, factorize
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.padding import pad
from ntk_al.lookahead.problem import Problem
from ntk_al.types import ArrayLike


def conditioned(problem: Problem, options: ScoreOptions, labeled: ArrayLike) -> Conditioned:
    """Conditions on the labeled set of a problem.

    Args:
      problem: the inputs.
      options: the options of the score.
      labeled: Θ(L, L), ``[L, L]``, perhaps padded, which only the solver ``"cholesky"`` needs.

    Raises:
      TypeError: if the solver is ``"cg"``, under ``jax.jit``.
      ValueError: see ``factorize`` and ``conjugate_gradients.Solution``.
    """
    if options.solver == "cholesky":
        residual = problem.residual
        return factorize(
            labeled,
            pad(residual, labeled.shape[0]),
            ridge=ridges.resolved(options.ridge, labeled, problem.targets, problem.x_labeled),
            num_labeled=len(residual),
        )
    if checks.is_traced(problem.network, problem.residual, problem.pool_logits, options.ridge):
        raise TypeError(
            "solver='cg' decides on the host when to stop, so it cannot be jitted: leave jit out, "
            "or use solver='cholesky'"
        )
    return conjugate_gradients.Solution(problem, options)
