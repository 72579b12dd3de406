"""Look-ahead scores: how the network would change if each candidate were labeled.

Labeling x_j as y moves the outputs of the retrained linearized network by a rank-one step (Eq. 11
and 12 of the paper; ``posterior`` explains a correction to Eq. 12):

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
from ntk_al.lookahead.criteria import Evaluation
from ntk_al.lookahead.factorization import Factor, Points, factorize
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.options import ALL_LOGITS, ScoreOptions
from ntk_al.lookahead.outcomes import RankC, RankOne
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem, check_inputs
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network
from ntk_al.types import Array, ArrayLike, GramBlocks

_FAR_FROM_TARGETS = 0.5  # mean distance per example, relative to a network that knows nothing


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
    task: str = ScoreOptions.task,
) -> Array:
    """Scores every candidate by how the network would change if that candidate were labeled.

    It composes ``kernels.blocks``, ``posterior.factorize`` and a criterion, all of which are
    public. It is pure, so it works under ``jax.jit`` (the named options must be static), but there
    it cannot check the values of its inputs.

    Args:
      network: a trained network with C outputs; which C fit depends on the task.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their labels. For classification, class ids ``[L]`` or real-valued targets
        ``[L, C]``; for a binary task, class ids 0 and 1 or booleans, ``[L]``.
      x_pool: candidates, ``[U, ...]``.
      criterion: how the change of the outputs becomes a score, one of the criteria of the task.
      readout: the scalar whose gradient defines the kernel, see ``ScoreOptions``.
      reference: what changes are measured from, ``"network"`` or ``"linearized"``.
      ridge: λ divided by the mean of diag Θ(L, L); multiplied by ten until A can be factorized.
      x_eval: points at which outputs are compared, ``[E, ...]``; ``None`` means the candidates.
      precision: precision of the Jacobian's entries, see ``kernels.gram``.
      memory_budget: bytes that the kernel may take on each device; ``None`` allows most of the
        free memory.
      mesh: devices, along an axis named ``pool``, that share the candidates; ``None``: one device.
      task: what outputs and labels mean, a key of ``TASKS``. ``"classification"`` needs an output
        for each class. ``"binary"`` is for a network with one logit f, trained on the targets −1
        and +1; it is scored as the two logits (1 − f)/2 and (1 + f)/2.

    Returns:
      Scores ``[U]``, higher = query first. They are never NaN.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if a name is unknown, a set is empty, shapes or labels do not match, an input,
        the logits or the kernel are not finite, or the budget is too small.

    Warns:
      UserWarning: if the network hardly fits its labels or was not trained with the squared loss.
    """
    options = ScoreOptions(
        criterion, readout, reference, ridge, precision, memory_budget, mesh, task
    )
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task=task)
    if reference == "network":
        warn_of_large_residual(problem)
    if readout == ALL_LOGITS:
        return score_posterior(
            condition(problem, options),
            criterion=criterion,
            reference=reference,
            num_candidates=problem.num_candidates,
            task=task,
        )
    return score_blocks(problem, kernel_blocks(problem, options), options).scores


def score_posterior(
    belief: Posterior | FullPosterior,
    *,
    criterion: str = ScoreOptions.criterion,
    reference: str = ScoreOptions.reference,
    num_candidates: int | None = None,
    task: str = ScoreOptions.task,
) -> Array:
    """Scores the query points of a posterior.

    This is the composable form of ``score``: after ``belief.observe(...)``, only the criterion is
    computed again. An observed point still gets a score, which the caller must mask.

    Args:
      belief: from ``posterior.condition`` or ``full_posterior.condition``.
      criterion: one of the criteria of the task.
      reference: see ``score``.
      num_candidates: how many of the query points, from the first on, are candidates; the rest are
        the evaluation points. ``None`` means that every query point is both.
      task: see ``score``.

    Returns:
      Scores of the candidates, ``[Q]`` or ``[num_candidates]``, higher = query first, never NaN.

    Raises:
      ValueError: if a name is unknown, the outputs do not fit the task, or ``num_candidates``
        leaves no evaluation point.

    Example:
      >>> theta = GramBlocks.square(jnp.eye(1), jnp.zeros((1, 2)), jnp.eye(2))
      >>> logits = np.array([[0.5, 0.0], [1.0, 0.0]])  # a label would move only the first
      >>> belief = posterior.condition(theta, np.zeros((1, 2)), logits)
      >>> [round(value, 2) for value in score_posterior(belief).tolist()]
      [0.5, 0.0]
    """
    options = ScoreOptions(criterion=criterion, reference=reference, task=task)
    num_query, num_outputs = belief.logits.shape
    TASKS[task].check(num_outputs)
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
            task=options.task,
        )
    return to_default(scores)


class Scored(NamedTuple):
    """Scores, and the factorization behind them.

    Attributes:
      scores: ``[U]``.
      factor: holds the ridge that was used and an estimate of the condition number.
    """

    scores: Array
    factor: Factor


def kernel_blocks(problem: Problem, options: ScoreOptions) -> GramBlocks:
    """Computes the kernel of a problem.

    On a mesh, every device gets the same number of candidates. If they do not divide evenly, the
    last candidate is repeated; ``score_blocks`` drops the repeats.
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
    """Computes scores from the kernel, forming S(E, U) for one tile of candidates at a time.

    Args:
      problem: the inputs.
      theta: from ``kernel_blocks`` with the same options.
      options: the options of the score.
    """
    mesh, num_pool = sharding.automatic(options.mesh), len(problem.x_pool)
    num_filled = theta.labeled_pool.shape[1] - num_pool
    pool_logits = problem.pool_logits
    if mesh is not None:
        pool_logits = _fill(pool_logits, num_filled)
    everywhere = sharding.everywhere(mesh)
    factor = factorize(everywhere(theta.labeled), problem.residual, ridge=options.ridge)
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
            task=options.task,
            mesh=mesh,
        )
    return Scored(to_default(jnp.asarray(everywhere(scores))[:num_pool]), factor)


def condition(
    problem: Problem, options: ScoreOptions, theta: GramBlocks | None = None
) -> Posterior | FullPosterior:
    """Computes the posterior at the candidates, followed by the evaluation points, if any.

    Args:
      problem: the inputs.
      options: the options of the score.
      theta: from ``kernel_blocks`` with the same options, if it has been computed already. It is
        used only if the problem has no separate evaluation points.
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


def warn_of_large_residual(problem: Problem) -> None:
    """Warns the caller's caller if the network hardly fits its labels."""
    if checks.is_traced(problem.residual):
        return
    distance = float(jnp.linalg.norm(problem.residual, axis=1).mean())
    untrained = float(problem.distance)
    if distance > _FAR_FROM_TARGETS * untrained > 0:
        warnings.warn(
            f"the outputs of the network on the labeled set are far from their targets: the mean "
            f"of ‖y − f(x)‖ is {distance:.2g}; an untrained network has about {untrained:.2g}. "
            "Changes measured from such a network mostly reflect retraining, not the candidate. "
            "Train with the squared loss (for classes, on one-hot targets), or score with "
            "reference='linearized'.",
            stacklevel=3,
        )


def _fill(x: ArrayLike, missing: int) -> np.ndarray:
    """Appends ``missing`` repeats of the last row."""
    x = np.asarray(x)
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates", "task"))
def _score_posterior(
    belief: Posterior, *, criterion: str, reference: str, num_candidates: int | None, task: str
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
        task=task,
    )


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates", "task"))
def _score_full(
    belief: FullPosterior, *, criterion: str, reference: str, num_candidates: int | None, task: str
) -> Array:
    of_candidates, of_evaluation = _split(num_candidates)
    s, mean, logits = belief.covariance, belief.mean, belief.logits
    gain = full_posterior.gain(s[:, :, of_candidates], belief.noise)[:, of_evaluation]
    return tiles.evaluate(
        Evaluation(mean[of_evaluation], (mean - logits)[of_evaluation]),
        RankC(gain, mean[of_candidates], logits[of_candidates]),
        criterion=criterion,
        reference=reference,
        task=task,
    )


def _split(num_candidates: int | None) -> tuple[slice, slice]:
    """Which query points are candidates, and which are evaluation points."""
    return slice(num_candidates), slice(num_candidates or 0, None)
