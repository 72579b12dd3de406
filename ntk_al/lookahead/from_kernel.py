"""From inputs to the kernel, and from the kernel to scores and to the posterior."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import kernels
from ntk_al._utils import checks, sharding
from ntk_al._utils.float64 import here, to_default, widest
from ntk_al.kernels.empirical.gram import unchecked_blocks
from ntk_al.lookahead import (
    full_posterior,
    landmarks,
    posterior,
    probabilities,
    ridges,
    tiles,
)
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.conditioning import conditioned
from ntk_al.lookahead.factorization import Conditioned
from ntk_al.lookahead.from_posterior import score_belief
from ntk_al.lookahead.options import ALL_LOGITS, ScoreOptions
from ntk_al.lookahead.padding import cut, pad
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem
from ntk_al.types import Array, GramBlocks


class Scored(NamedTuple):
    """Scores, and the factorization behind them.

    Attributes:
      scores: ``[U]``.
      factor: holds the ridge that was used and an estimate of the condition number.
    """

    scores: Array
    factor: Conditioned | Belief


def scored(
    problem: Problem, options: ScoreOptions, on_plan: Callable[[str], None] | None = None
) -> Scored:
    """Computes the scores of a problem by the path that its read-out needs."""
    if options.readout != ALL_LOGITS and not takes_landmarks(problem, options):
        return score_blocks(problem, kernel_blocks(problem, options, on_plan), options)
    belief = condition(problem, options)
    return Scored(score_belief(belief, problem, options), belief)


def takes_landmarks(problem: Problem, options: ScoreOptions) -> bool:
    """Returns whether the covariance is approximated by landmarks."""
    if options.approximation != "auto":
        return options.approximation == "landmarks"
    if checks.is_traced(problem.network, problem.residual, problem.pool_logits):
        return False
    num_labeled, num_pool = len(problem.residual), problem.num_pool
    num_points = num_pool if problem.eval_logits is None else len(problem.eval_logits)
    rank = options.rank or landmarks.first_rank(num_labeled, num_points)
    # Pairs of samples, of which a symmetric block needs half.
    exact = num_pool * num_points / (2 if problem.x_eval is None else 1)
    num_query = num_pool + (0 if problem.x_eval is None else num_points)
    return (num_labeled + rank) * num_query <= (exact + num_labeled * num_query) / 2


def kernel_blocks(
    problem: Problem, options: ScoreOptions, on_plan: Callable[[str], None] | None = None
) -> GramBlocks:
    """Computes the kernel of a problem; if values are known, it is padded, see ``padding``.

    Args:
      problem: the inputs.
      options: the options of the score.
      on_plan: called with the plan of the kernel, in words.
    """
    return unchecked_blocks(
        problem.network,
        problem.x_labeled,
        problem.x_pool,
        problem.x_eval,
        readout=options.readout,
        precision=options.precision,
        memory_budget=options.memory_budget,
        mesh=options.mesh,
        on_plan=on_plan,
        padded=not checks.is_traced(problem.network, problem.x_labeled, problem.x_pool),
        labeled=options.solver == "cholesky",
    )


def score_blocks(problem: Problem, theta: GramBlocks, options: ScoreOptions) -> Scored:
    """Computes scores from the kernel, forming S(E, U) for one tile of candidates at a time.

    Args:
      problem: the inputs.
      theta: from ``kernel_blocks`` with the same options.
      options: the options of the score.
    """
    options = probabilities.resolved(options, problem)
    mesh = sharding.automatic(options.mesh)
    everywhere = sharding.everywhere(mesh)
    factor = conditioned(problem, options, everywhere(theta.labeled))
    sets, num_evaluation = [(theta.labeled_pool, problem.pool_logits)], problem.num_pool
    if problem.eval_logits is not None:
        sets.append((theta.labeled_eval, problem.eval_logits))
        num_evaluation = len(problem.eval_logits)
    crosses = [everywhere(cross) for cross, _ in sets]
    logits = [pad(of_set, cross.shape[1]) for cross, (_, of_set) in zip(crosses, sets, strict=True)]
    pool, *others = factor.at_sets(crosses, logits)
    evaluation = others[0] if others else pool
    diagonal = everywhere(theta.eval_diagonal)
    known = (evaluation, pool, factor.noise, options.predictive, diagonal)
    if mesh is not None:
        known = jax.tree.map(np.asarray, known)  # the same on every host
    with widest(known, theta):
        scores = tiles.score_candidates(
            *here(known),
            here(theta.eval_pool),
            here(theta.pool_diagonal),
            num_evaluation,
            criterion=options.criterion,
            reference=options.reference,
            task=options.task,
            mesh=mesh,
        )
    scores = to_default(jnp.asarray(everywhere(scores)))
    return Scored(cut(scores, problem.num_pool), factor)


def condition(problem: Problem, options: ScoreOptions, theta: GramBlocks | None = None) -> Belief:
    """Computes the posterior at the candidates, followed by the evaluation points, if any.

    Args:
      problem: the inputs.
      options: the options of the score.
      theta: from ``kernel_blocks`` with the same options, if it has been computed already. It is
        used only if the problem has no separate evaluation points.
    """
    if takes_landmarks(problem, options):
        return landmarks.condition(problem, options)
    square = problem.with_one_set()
    given = square.residual, square.pool_logits
    if options.readout == ALL_LOGITS:
        blocks = kernels.full_blocks(
            square.network, square.x_labeled, square.x_pool, memory_budget=options.memory_budget
        )
        ridge = ridges.resolved(
            options.ridge, blocks.labeled, square.targets, square.x_labeled, is_full=True
        )
        return full_posterior.condition(blocks, *given, ridge=ridge)
    if theta is None or problem.x_eval is not None:
        theta = kernel_blocks(square, options)
    belief, num = padded_posterior(square, options, theta), square.num_pool
    return dataclasses.replace(
        belief,
        mean=cut(belief.mean, num),
        covariance=cut(belief.covariance, num, num),
        logits=cut(belief.logits, num),
        prior=cut(jnp.asarray(belief.prior), num),
    )


def padded_posterior(problem: Problem, options: ScoreOptions, theta: GramBlocks) -> Posterior:
    """Computes the posterior at the candidates of a problem, followed by padding.

    Args:
      problem: a problem without separate evaluation points.
      options: the options of the score.
      theta: from ``kernel_blocks`` with the same options.
    """
    everywhere = sharding.everywhere(sharding.automatic(options.mesh))
    cross = jnp.asarray(everywhere(theta.labeled_pool))
    return posterior.at_points(
        conditioned(problem, options, everywhere(theta.labeled)),
        cross,
        jnp.asarray(everywhere(theta.eval_pool)),
        pad(problem.pool_logits, cross.shape[1]),
    )
