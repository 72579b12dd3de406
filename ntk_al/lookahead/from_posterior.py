"""From the posterior at the candidates to their scores, by one compiled program."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils.float64 import here, to_default, widest
from ntk_al.lookahead import full_posterior, landmarks, posterior, probabilities, tiles
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.criteria import Evaluation
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.outcomes import RankC, RankOne
from ntk_al.lookahead.padding import cut
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem
from ntk_al.network import Predictive
from ntk_al.types import Array


def score_belief(
    belief: Belief, problem: Problem, options: ScoreOptions, rows: np.ndarray | None = None
) -> Array:
    """Computes the scores of the candidates of a problem from its posterior, ``[U]``.

    The posterior may be padded if the problem has no separate evaluation points.

    Args:
      belief: the posterior.
      problem: the problem.
      options: the options of the score.
      rows: which candidates to score, see ``score_points``; ``None`` means all of them.
    """
    options = probabilities.resolved(options, problem)
    if problem.num_candidates is None:  # there may be padding
        scores = score_points(belief, options, problem.num_pool, None, rows)
        return cut(scores, problem.num_pool if rows is None else len(rows))
    return score_points(belief, options, len(belief.logits), problem.num_candidates, rows)


def score_points(
    belief: Belief,
    options: ScoreOptions,
    num_query: int,
    num_candidates: int | None,
    rows: np.ndarray | None = None,
) -> Array:
    """Scores query points, of which the first ``num_query`` are points and the rest padding.

    Here ``options.predictive`` is a distribution, not a name. If ``rows`` are given, their scores
    are returned, ``[n]``, and with landmarks no others are computed.
    """
    named = {
        "criterion": options.criterion,
        "reference": options.reference,
        "num_candidates": num_candidates,
        "task": options.task,
    }
    with widest(belief):
        known = here(belief), here(options.predictive)
        if isinstance(belief, LandmarkPosterior):
            few = None if rows is None else here(jnp.asarray(rows))
            scores = landmarks.scores(*known, few, **named)
        else:
            scores = _OF_KIND[type(belief)](known[0], num_query, known[1], **named)
            scores = scores if rows is None else scores[rows]
    # Outside, where the default may be float32.
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
    prior = jnp.broadcast_to(belief.prior, len(mean))
    variance = posterior.label_variance(jnp.diagonal(s), belief.noise, prior)
    gain = posterior.gain(s[of_evaluation, of_candidates], variance[of_candidates])
    weight = (jnp.arange(len(mean)) < num_query).astype(mean.dtype)
    return tiles.evaluate(
        Evaluation(
            mean[of_evaluation],
            (mean - logits)[of_evaluation],
            weight[of_evaluation],
            predictive,
            variance[of_evaluation],
        ),
        RankOne(
            gain.T,
            mean[of_candidates],
            logits[of_candidates],
            variance[of_candidates],
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
    own = jnp.einsum("jcjd->jcd", s)
    variance = own + belief.noise * jnp.eye(own.shape[1], dtype=own.dtype)[None]
    return tiles.evaluate(
        Evaluation(
            mean[of_evaluation],
            (mean - logits)[of_evaluation],
            predictive=predictive,
            variance=variance[of_evaluation],
        ),
        RankC(gain, mean[of_candidates], logits[of_candidates], variance[of_candidates]),
        criterion=criterion,
        reference=reference,
        task=task,
    )


_OF_KIND: dict[type, Callable[..., Array]] = {
    Posterior: _score_posterior,
    FullPosterior: _score_full,
}


def _split(num_candidates: int | None) -> tuple[slice, slice]:
    """Which query points are candidates, and which are evaluation points."""
    return slice(num_candidates), slice(num_candidates or 0, None)
