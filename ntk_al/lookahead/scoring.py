"""Look-ahead scores: how the network would change if each candidate were labeled.

Labeling x_j as y moves the outputs of the retrained linearized network by a rank-one step (Eq. 11
and 12 of the paper; ``posterior`` explains a correction to Eq. 12):

    mean⁺(x) = mean(x) + w(x, j) e_j,   w(x, j) = S(x, x_j) / (S_jj + λ),   e_j = y − mean(x_j)

A criterion (``criteria``) turns the step of one candidate into a number.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ntk_al import kernels
from ntk_al._utils import checks, sharding
from ntk_al._utils.float64 import to_default, widest
from ntk_al.kernels.empirical.gram import unchecked_blocks
from ntk_al.lookahead import full_posterior, posterior, probabilities, tiles
from ntk_al.lookahead.criteria import Evaluation
from ntk_al.lookahead.factorization import Factor, factorize
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.options import ALL_LOGITS, ScoreOptions
from ntk_al.lookahead.outcomes import RankC, RankOne
from ntk_al.lookahead.padding import cut, pad
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem, check_inputs
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network, Predictive
from ntk_al.network.predictive import SOFTMAX
from ntk_al.types import Array, ArrayLike, GramBlocks, PyTree

_FAR_FROM_TARGETS = 0.5  # mean distance per example, relative to a network that knows nothing


def score(
    network: Network,
    x_labeled: PyTree,
    y_labeled: ArrayLike,
    x_pool: PyTree,
    *,
    criterion: str = ScoreOptions.criterion,
    readout: str = ScoreOptions.readout,
    reference: str = ScoreOptions.reference,
    ridge: float = ScoreOptions.ridge,
    x_eval: PyTree | None = None,
    precision: str = ScoreOptions.precision,
    memory_budget: int | None = ScoreOptions.memory_budget,
    mesh: Mesh | None = ScoreOptions.mesh,
    task: str = ScoreOptions.task,
    predictive: str | Predictive = ScoreOptions.predictive,
) -> Array:
    """Scores every candidate by how the network would change if that candidate were labeled.

    It composes ``kernels.blocks``, ``posterior.factorize`` and a criterion, all of which are
    public. It is pure, so it works under ``jax.jit`` (the named options must be static), but there
    it cannot check the values of its inputs.

    Args:
      network: a trained network with C outputs; which C fit depends on the task.
      x_labeled: labeled inputs, ``[L, ...]``, or a pytree of arrays with a common first axis.
      y_labeled: their labels. For classification, class ids ``[L]`` or probabilities
        ``[L, C]``; for a binary task, class ids 0 and 1 or booleans, ``[L]``; for regression,
        numbers ``[L, C]``, or ``[L]`` if C = 1.
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
        and +1; it is scored as the two logits (1 − f)/2 and (1 + f)/2. ``"regression"`` takes any
        number of outputs.
      predictive: p(y | x), which ``"emoc"`` and ``"eer"`` weigh by: a key of
        ``network.PREDICTIVES``, or a ``network.Predictive``. ``"softmax"`` is as the paper prints
        it, but nearly uniform for a network that was trained with the squared loss.

    Returns:
      Scores ``[U]``, higher = query first. They are never NaN; −inf marks a candidate that cannot
      be scored, because the changes it would cause are not finite.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if a name is unknown, a set is empty, shapes or labels do not match, an input,
        the logits or the kernel are not finite, no candidate can be scored, or the budget is too
        small.

    Warns:
      UserWarning: if the network hardly fits its labels or was not trained with the squared loss.
    """
    options = ScoreOptions(
        criterion, readout, reference, ridge, precision, memory_budget, mesh, task, predictive
    )
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task=task)
    if reference == "network":
        warn_of_large_residual(problem)
    scores = scored(problem, options).scores
    check_scores(scores)
    return scores


def score_posterior(
    belief: Posterior | FullPosterior,
    *,
    criterion: str = ScoreOptions.criterion,
    reference: str = ScoreOptions.reference,
    num_candidates: int | None = None,
    task: str = ScoreOptions.task,
    predictive: str | Predictive | None = None,
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
      predictive: p(y | x), for the criteria that weigh by it: ``"simplex"``, ``"softmax"`` or a
        ``network.Predictive``. ``lookahead.predictive`` computes the one that ``score`` uses, which
        takes the network and its labels.

    Returns:
      Scores of the candidates, ``[Q]`` or ``[num_candidates]``, higher = query first, never NaN.

    Raises:
      ValueError: if a name is unknown, the outputs do not fit the task, ``num_candidates`` leaves
        no evaluation point, the criterion needs probabilities and none are given, or no candidate
        can be scored.

    Example:
      >>> theta = GramBlocks.square(jnp.eye(1), jnp.zeros((1, 2)), jnp.eye(2))
      >>> logits = np.array([[0.5, 0.0], [1.0, 0.0]])  # a label would move only the first
      >>> belief = posterior.condition(theta, np.zeros((1, 2)), logits)
      >>> [round(value, 2) for value in score_posterior(belief).tolist()]
      [0.5, 0.0]
    """
    options = ScoreOptions(criterion=criterion, reference=reference, task=task)
    if predictive is None or predictive == "calibrated":
        if probabilities.needed(criterion, task):
            raise ValueError(
                f"criterion={criterion!r} weighs by p(y | x), which a posterior cannot know. "
                "Pass predictive=lookahead.predictive(network, x_labeled, y_labeled, x_pool), "
                "'simplex' or 'softmax'"
            )
        predictive = SOFTMAX  # not used
    options = dataclasses.replace(options, predictive=probabilities.of_name(predictive))
    num_query, num_outputs = belief.logits.shape
    TASKS[task].check(num_outputs)
    if num_candidates is not None and not 0 < num_candidates < num_query:
        raise ValueError(
            f"num_candidates must be in 1..{num_query - 1}, so that at least one of {num_query} "
            f"query points is an evaluation point, got {num_candidates}"
        )
    scores = _score(belief, options, num_query, num_candidates)
    check_scores(scores)
    return scores


class Scored(NamedTuple):
    """Scores, and the factorization behind them.

    Attributes:
      scores: ``[U]``.
      factor: holds the ridge that was used and an estimate of the condition number.
    """

    scores: Array
    factor: Factor | Posterior | FullPosterior


def scored(
    problem: Problem, options: ScoreOptions, on_plan: Callable[[str], None] | None = None
) -> Scored:
    """Computes the scores of a problem by the path that its read-out needs."""
    if options.readout != ALL_LOGITS:
        return score_blocks(problem, kernel_blocks(problem, options, on_plan), options)
    belief = condition(problem, options)
    return Scored(score_belief(belief, problem, options), belief)


def score_belief(
    belief: Posterior | FullPosterior, problem: Problem, options: ScoreOptions
) -> Array:
    """Computes the scores of the candidates of a problem from its posterior, ``[U]``.

    The posterior may be padded if the problem has no separate evaluation points.
    """
    options = probabilities.resolved(options, problem)
    if problem.num_candidates is None:  # there may be padding
        return cut(_score(belief, options, problem.num_pool, None), problem.num_pool)
    return _score(belief, options, len(belief.logits), problem.num_candidates)


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
    factor = _factorized(problem, everywhere(theta.labeled), options)
    cross = everywhere(theta.labeled_pool)
    pool = factor.at(cross, pad(problem.pool_logits, cross.shape[1]))
    evaluation, num_evaluation = pool, problem.num_pool
    if problem.eval_logits is not None:
        cross = everywhere(theta.labeled_eval)
        evaluation = factor.at(cross, pad(problem.eval_logits, cross.shape[1]))
        num_evaluation = len(problem.eval_logits)
    known = (evaluation, pool, factor.noise, options.predictive)
    if mesh is not None:
        known = jax.tree.map(np.asarray, known)  # the same on every host
    with widest(known, theta):
        scores = tiles.score_candidates(
            *known,
            theta.eval_pool,
            theta.pool_diagonal,
            num_evaluation,
            criterion=options.criterion,
            reference=options.reference,
            task=options.task,
            mesh=mesh,
        )
    scores = to_default(jnp.asarray(everywhere(scores)))
    return Scored(cut(scores, problem.num_pool), factor)


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
        _factorized(problem, everywhere(theta.labeled), options),
        cross,
        jnp.asarray(everywhere(theta.eval_pool)),
        pad(problem.pool_logits, cross.shape[1]),
    )


def check_scores(scores: ArrayLike, k: int = 1) -> None:
    """Raises ValueError if fewer than k scores are finite; −inf marks what cannot be scored.

    Tracers pass.
    """
    if checks.is_traced(scores):
        return
    num_finite = int(np.isfinite(jax.device_get(scores)).sum())
    if num_finite < k:
        raise ValueError(
            f"only {num_finite} of {len(scores)} candidates can be scored, and at least {k} must "
            "be: the changes that the others would cause are not finite. The outputs of the "
            "network or its gradients are probably too large: normalize inputs and targets, or "
            "retrain with a lower learning rate"
        )


def warn_of_large_residual(problem: Problem) -> None:
    """Warns the caller's caller if the network hardly fits its labels."""
    if checks.is_traced(problem.residual):
        return
    distance = float(np.linalg.norm(np.asarray(problem.residual), axis=1).mean())
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


def _factorized(problem: Problem, labeled: ArrayLike, options: ScoreOptions) -> Factor:
    residual, num_padded = problem.residual, labeled.shape[0]
    return factorize(
        labeled, pad(residual, num_padded), ridge=options.ridge, num_labeled=len(residual)
    )


def _score(
    belief: Posterior | FullPosterior,
    options: ScoreOptions,
    num_query: int,
    num_candidates: int | None,
) -> Array:
    """Scores query points, of which the first ``num_query`` are points and the rest padding.

    Here ``options.predictive`` is a distribution, not a name.
    """
    with widest(belief):
        of_kind = _score_full if isinstance(belief, FullPosterior) else _score_posterior
        scores = of_kind(
            belief,
            num_query,
            options.predictive,
            criterion=options.criterion,
            reference=options.reference,
            num_candidates=num_candidates,
            task=options.task,
        )
    return to_default(scores)


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates", "task"))
def _score_posterior(
    belief: Posterior,
    num_query: Array,
    predictive: Predictive,
    *,
    criterion: str,
    reference: str,
    num_candidates: int | None,
    task: str,
) -> Array:
    belief = to_default(belief)
    of_candidates, of_evaluation = _split(num_candidates)
    s, mean, logits = belief.covariance, belief.mean, belief.logits
    prior = jnp.broadcast_to(belief.prior, len(mean))[of_candidates]
    variance = posterior.label_variance(jnp.diagonal(s)[of_candidates], belief.noise, prior)
    gain = posterior.gain(s[of_evaluation, of_candidates], variance)
    weight = (jnp.arange(len(mean)) < num_query).astype(mean.dtype)
    return tiles.evaluate(
        Evaluation(
            mean[of_evaluation],
            (mean - logits)[of_evaluation],
            weight[of_evaluation],
            predictive,
        ),
        RankOne(
            gain.T,
            mean[of_candidates],
            logits[of_candidates],
            variance,
        ),
        criterion=criterion,
        reference=reference,
        task=task,
    )


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates", "task"))
def _score_full(
    belief: FullPosterior,
    num_query: Array,
    predictive: Predictive,
    *,
    criterion: str,
    reference: str,
    num_candidates: int | None,
    task: str,
) -> Array:
    del num_query  # this posterior is never padded
    belief = to_default(belief)
    of_candidates, of_evaluation = _split(num_candidates)
    s, mean, logits = belief.covariance, belief.mean, belief.logits
    prior = jnp.broadcast_to(belief.flat.prior, mean.size).reshape(mean.shape)[of_candidates]
    gain = full_posterior.gain(s[:, :, of_candidates], belief.noise, prior)[:, of_evaluation]
    own = jnp.einsum("jcjd->jcd", s[of_candidates, :, of_candidates])
    variance = own + belief.noise * jnp.eye(own.shape[1], dtype=own.dtype)[None]
    return tiles.evaluate(
        Evaluation(mean[of_evaluation], (mean - logits)[of_evaluation], predictive=predictive),
        RankC(gain, mean[of_candidates], logits[of_candidates], variance),
        criterion=criterion,
        reference=reference,
        task=task,
    )


def _split(num_candidates: int | None) -> tuple[slice, slice]:
    """Which query points are candidates, and which are evaluation points."""
    return slice(num_candidates), slice(num_candidates or 0, None)
