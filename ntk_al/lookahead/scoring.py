"""Look-ahead: what the network would become if a candidate were labeled, for all of them at once.

Labeling x_j as y moves the retrained linearized network everywhere by a rank-one step (Eq. 11 and
12 of the paper, the latter corrected as in ``posterior``):

    mean⁺(x) = mean(x) + w(x, j) e_j,   w(x, j) = S(x, x_j) / (S_jj + λ),   e_j = y − mean(x_j)

A criterion (``criteria``) turns the step of one candidate into a number.
"""

from __future__ import annotations

import functools
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ntk_al import kernels
from ntk_al._utils import checks, sharding
from ntk_al._utils.float64 import to_default, widest
from ntk_al.kernels.empirical.gram import unchecked_blocks
from ntk_al.lookahead import full_posterior, posterior, tiles
from ntk_al.lookahead.criteria import Evaluation, RankC, RankOne
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.options import ALL_LOGITS, ScoreOptions
from ntk_al.lookahead.posterior import Factor, Points, Posterior
from ntk_al.lookahead.problem import Problem, check_inputs
from ntk_al.network import Network
from ntk_al.types import Array, ArrayLike, GramBlocks

_FAR_FROM_TARGETS = 0.5  # per example; one-hot targets have norm 1


def score(
    network: Network,
    x_labeled: ArrayLike,
    y_labeled: ArrayLike,
    x_pool: ArrayLike,
    *,
    criterion: str = ScoreOptions.criterion,
    readout: str = ScoreOptions.readout,
    reference: str = ScoreOptions.reference,
    ridge: float = ScoreOptions.ridge,
    x_eval: ArrayLike | None = None,
    precision: str = ScoreOptions.precision,
    memory_budget: int | None = ScoreOptions.memory_budget,
    mesh: Mesh | None = ScoreOptions.mesh,
) -> Array:
    """Scores every candidate by what the network would become if it were labeled.

    This is ``kernels.blocks``, ``posterior.factorize`` and a criterion composed; all of them are
    public. It is pure and can be used under ``jax.jit`` (with the names static), where the values
    of the inputs cannot be checked.

    Args:
      network: a trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids ``[L]`` or real targets ``[L, C]``; C is the network's output size.
      x_pool: candidates, ``[U, ...]``.
      criterion: what a change of outputs is worth, a key of ``CRITERIA``.
      readout: the scalar whose gradient makes the kernel, see ``ScoreOptions``.
      reference: what changes are measured from, ``"network"`` or ``"linearized"``.
      ridge: λ / mean diag Θ(L, L); raised tenfold until the kernel can be factorized.
      x_eval: points whose outputs are compared, ``[E, ...]``; ``None`` means the candidates.
      precision: of the Jacobian's entries, see ``kernels.gram``.
      memory_budget: bytes that the kernel may take on each device; ``None`` means most of what is
        free.
      mesh: devices with an axis ``pool`` that share the candidates.

    Returns:
      Scores ``[U]``, higher = query first. Never NaN.

    Raises:
      TypeError: an argument of the wrong type.
      ValueError: unknown names, empty sets, shapes or labels that do not fit, NaN or infinite
        inputs, a network whose logits or kernel are not finite, a budget that is too small.

    Warns:
      UserWarning: the network was hardly fitted to its labels, or not with the squared loss.
    """
    options = ScoreOptions(criterion, readout, reference, ridge, precision, memory_budget, mesh)
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval)
    if reference == "network":
        _warn_of_large_residual(problem.residual)
    if readout == ALL_LOGITS:
        return score_posterior(
            condition(problem, options),
            criterion=criterion,
            reference=reference,
            num_candidates=problem.num_candidates,
        )
    return score_blocks(problem, kernel_blocks(problem, options), options).scores


def score_posterior(
    belief: Posterior | FullPosterior,
    *,
    criterion: str = ScoreOptions.criterion,
    reference: str = ScoreOptions.reference,
    num_candidates: int | None = None,
) -> Array:
    """Scores the query points of a posterior.

    The composable form of ``score``: after ``belief.observe(...)`` only the criterion is computed
    again.

    Args:
      belief: from ``posterior.condition`` or ``full_posterior.condition``. A point that was
        observed still gets a score, which the caller must mask.
      criterion: a key of ``CRITERIA``.
      reference: see ``score``.
      num_candidates: the first so many query points are candidates, and the others are the
        evaluation points. ``None`` means that every query point is both.

    Returns:
      Scores of the candidates, ``[Q]`` or ``[num_candidates]``, higher = query first. Never NaN.

    Raises:
      ValueError: an unknown name, or no evaluation point.
    """
    options = ScoreOptions(criterion=criterion, reference=reference)
    num_query = len(belief.logits)
    if num_candidates is not None and not 0 < num_candidates < num_query:
        raise ValueError(
            f"num_candidates must be in 1..{num_query - 1}, so that at least one of {num_query} "
            f"query points is an evaluation point, got {num_candidates}"
        )
    with widest(belief) as dtype:
        belief = jax.tree.map(lambda leaf: leaf.astype(dtype), belief)
        of_kind = _score_full if isinstance(belief, FullPosterior) else _score_posterior
        scores = of_kind(
            belief,
            criterion=options.criterion,
            reference=options.reference,
            num_candidates=num_candidates,
        )
    return to_default(scores)


class Scored(NamedTuple):
    """Scores, and the factorization that they rest on.

    Attributes:
      scores: ``[U]``.
      factor: with the ridge that was used and an estimate of the condition number.
    """

    scores: Array
    factor: Factor


def kernel_blocks(problem: Problem, options: ScoreOptions) -> GramBlocks:
    """The kernel of a problem; on a mesh every device has equally many candidates.

    On a mesh the candidates are filled up with repeats of the last one, and ``score_blocks`` drops
    those again.
    """
    x_pool = problem.x_pool
    if options.mesh is not None:
        x_pool = _fill(x_pool, -len(x_pool) % options.mesh.size)
    return unchecked_blocks(
        problem.network,
        problem.x_labeled,
        x_pool,
        problem.x_eval,
        readout=options.readout,
        precision=options.precision,
        memory_budget=options.memory_budget,
        mesh=options.mesh,
    )


def score_blocks(problem: Problem, theta: GramBlocks, options: ScoreOptions) -> Scored:
    """Scores from the kernel, with S(E, U) formed for a tile of candidates at a time.

    Args:
      problem: what is scored.
      theta: from ``kernel_blocks`` with the same options.
      options: of the score.
    """
    mesh, num_pool = sharding.automatic(options.mesh), len(problem.x_pool)
    num_filled = theta.labeled_pool.shape[1] - num_pool
    pool_logits = problem.pool_logits
    if mesh is not None:
        pool_logits = _fill(pool_logits, num_filled)
    everywhere = sharding.everywhere(mesh)
    factor = posterior.factorize(everywhere(theta.labeled), problem.residual, ridge=options.ridge)
    pool = factor.at(everywhere(theta.labeled_pool), pool_logits)
    evaluation = pool
    if problem.eval_logits is not None:
        evaluation = factor.at(everywhere(theta.labeled_eval), problem.eval_logits)
    elif num_filled:
        evaluation = Points(
            pool.logits[:num_pool], pool.mean[:num_pool], pool.whitened[:, :num_pool]
        )
    known = (evaluation, pool, factor.noise)
    if mesh is not None:
        known = jax.tree.map(np.asarray, known)  # the same on every host
    with widest(known, theta):
        scores = tiles.score_candidates(
            *known,
            theta.eval_pool[: len(evaluation.mean)],
            theta.pool_diagonal,
            criterion=options.criterion,
            reference=options.reference,
            mesh=mesh,
        )
    return Scored(to_default(jnp.asarray(everywhere(scores))[:num_pool]), factor)


def condition(
    problem: Problem, options: ScoreOptions, theta: GramBlocks | None = None
) -> Posterior | FullPosterior:
    """The posterior at the candidates and then, if there are any, at the evaluation points.

    Args:
      problem: what is asked.
      options: of the score.
      theta: from ``kernel_blocks`` with the same options, if it is known already and there are no
        evaluation points beside the candidates.
    """
    square = problem.with_one_set()
    given = square.residual, square.pool_logits
    if options.readout == ALL_LOGITS:
        blocks = kernels.full_blocks(
            square.network, square.x_labeled, square.x_pool, memory_budget=options.memory_budget
        )
        return full_posterior.condition(blocks, *given, ridge=options.ridge)
    if theta is None or problem.x_eval is not None:
        theta = kernel_blocks(square, options)
    if options.mesh is not None:
        num = len(square.x_pool)
        everywhere = sharding.everywhere(sharding.automatic(options.mesh))
        parts = (theta.labeled, theta.labeled_pool, theta.eval_pool)
        labeled, cross, pool = (jnp.asarray(everywhere(part)) for part in parts)
        theta = GramBlocks.square(labeled, cross[:, :num], pool[:num, :num])
    return posterior.condition(theta, *given, ridge=options.ridge)


def _warn_of_large_residual(residual: Array) -> None:
    if checks.is_traced(residual):
        return
    distance = float(jnp.linalg.norm(residual, axis=1).mean())
    if distance > _FAR_FROM_TARGETS:
        warnings.warn(
            f"the outputs of the network on the labeled set are far from its targets: the mean of "
            f"‖y − f(x)‖ is {distance:.2g}, and would be about 1 without any training. Changes "
            "measured from the network then show mostly retraining and hardly the candidate. Train "
            "with the squared loss on one-hot targets, or score with reference='linearized'.",
            stacklevel=3,
        )


def _fill(x: ArrayLike, missing: int) -> np.ndarray:
    """Rows filled up with repeats of the last one."""
    x = np.asarray(x)
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates"))
def _score_posterior(
    belief: Posterior, *, criterion: str, reference: str, num_candidates: int | None
) -> Array:
    of_candidates, of_evaluation = _split(num_candidates)
    s, mean, logits = belief.covariance, belief.mean, belief.logits
    variance = jnp.diagonal(s)[of_candidates]
    gain = posterior.gain(s[of_evaluation, of_candidates], variance, belief.noise)
    return tiles.evaluate(
        Evaluation(mean[of_evaluation], (mean - logits)[of_evaluation]),
        RankOne(gain.T, mean[of_candidates], logits[of_candidates]),
        criterion=criterion,
        reference=reference,
    )


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates"))
def _score_full(
    belief: FullPosterior, *, criterion: str, reference: str, num_candidates: int | None
) -> Array:
    of_candidates, of_evaluation = _split(num_candidates)
    s, mean, logits = belief.covariance, belief.mean, belief.logits
    gain = full_posterior.gain(s[:, :, of_candidates], belief.noise)[:, of_evaluation]
    return tiles.evaluate(
        Evaluation(mean[of_evaluation], (mean - logits)[of_evaluation]),
        RankC(gain, mean[of_candidates], logits[of_candidates]),
        criterion=criterion,
        reference=reference,
    )


def _split(num_candidates: int | None) -> tuple[slice, slice]:
    """Which query points are candidates, and which are evaluation points."""
    return slice(num_candidates), slice(num_candidates or 0, None)
