"""Scores from a posterior of low rank, and the correction of what it misses.

Scores sum over the evaluation points, and |w| hardly feels entries of S that are too small, so that
scores from F alone are too low, and most so where the remainder D is large. The landmarks know by
how much: at a landmark x, S(x, j) is exact, and what the other landmarks would have made of it
follows from S(P, P)⁻¹ without another factorization,

    R(x, j) = [S(P, P)⁻¹ S(P, j)]_x / [S(P, P)⁻¹]_xx

(the leave-one-out residual of a Gaussian process: Rasmussen and Williams 2006, Eq. 5.12). Landmarks
are a uniform sample of the evaluation points. The difference between the score over the landmarks
and the one with R left out therefore estimates the difference over all others (the difference
estimator of survey sampling). Its noise is taken out by regressing it on what it depends on: the
score, D and the size of the step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al._utils.products import product
from ntk_al.lookahead import tiles
from ntk_al.lookahead.criteria import Evaluation
from ntk_al.lookahead.landmarks.posterior import LandmarkPosterior
from ntk_al.lookahead.outcomes import RankOne
from ntk_al.lookahead.posterior import gain, label_variance
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Predictive
from ntk_al.types import Array

_TILE_BYTES = 128 * 2**20  # upper bound for the covariance of a tile of candidates
_JITTER = 1e-10  # of the mean diagonal of S(P, P), on top of that of F


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_candidates", "task"))
def scores(
    belief: LandmarkPosterior,
    predictive: Predictive,
    rows: Array | None = None,
    *,
    criterion: str,
    reference: str,
    num_candidates: int | None,
    task: str,
) -> Array:
    """Computes the scores of the candidates, ``[U]``, or of some of them, ``[n]``.

    Args:
      belief: the posterior at the candidates, followed by the evaluation points if these are
        others.
      predictive: p(y | x) as a function of the outputs.
      rows: which candidates to score, ``[n]``; ``None`` means all of them.
      criterion: one of the criteria of the task.
      reference: a member of ``REFERENCES``.
      num_candidates: U, if other points follow; ``None`` if the candidates are the evaluation
        points.
      task: a key of ``TASKS``.
    """
    num_query, rank = belief.factor.shape
    num_points = num_query - (num_candidates or 0)
    num_drawn = len(belief.points)
    if rows is None:
        rows = jnp.arange(num_query if num_candidates is None else num_candidates)
    is_exact = rank >= num_drawn
    # What is estimated has no more digits than float32, in which it takes a third of the time.
    narrow = functools.partial(_as, dtype=belief.factor.dtype if is_exact else jnp.float32)
    prior = belief.prior.astype(belief.factor.dtype)
    v = narrow(label_variance(belief.variance, belief.noise, prior))
    factor, mean, logits, offset, variance, remainder = map(
        narrow,
        (
            belief.factor,
            belief.mean,
            belief.logits,
            belief.offset,
            belief.variance,
            belief.remainder,
        ),
    )

    def measured(at_rows: Array, covariance: Array, candidates: Array) -> Array:
        """The criterion of some candidates, with some query points as evaluation points."""
        weight = jnp.ones(len(at_rows), variance.dtype)
        at = Evaluation(mean[at_rows], offset[at_rows], weight, predictive, v[at_rows])
        v_of = v[candidates]
        outcomes = RankOne(gain(covariance, v_of).T, mean[candidates], logits[candidates], v_of)
        return tiles.evaluate(at, outcomes, criterion=criterion, reference=reference, task=task)

    @jax.vmap
    def own_term(candidate: Array) -> Array:
        """The criterion of a candidate with itself as the only evaluation point."""
        return measured(candidate[None], variance[candidate].reshape(1, 1), candidate[None])[0]

    def summed(candidates: Array) -> Array:
        """The criterion of some candidates over all evaluation points, with S ≈ FFᵀ + D."""
        covariance = product(factor[belief.points], factor[candidates].T)
        is_own = belief.points[:, None] == candidates
        total = measured(belief.points, covariance + is_own * remainder[candidates], candidates)
        if num_drawn == num_points:
            return total
        if num_candidates is not None:
            return total * num_points / num_drawn
        # The sample stands for all points but the candidate, whose own term is exact.
        own, is_drawn = own_term(candidates), is_own.any(0)
        others = total - is_drawn * own
        return own + others * (num_points - 1) / (num_drawn - is_drawn)

    def in_tiles(function: Callable[[Array], Array], num_at: int) -> Array:
        return _in_tiles(function, rows, max(1, _TILE_BYTES // (8 * num_at)))

    plain = in_tiles(summed, num_drawn)
    if is_exact:
        return plain

    left_out = narrow(residual_factor(belief))

    def missed_at_landmarks(candidates: Array) -> Array:
        """By how much scores over the landmarks fall if each landmark's column is left out."""
        exact = product(factor[belief.landmarks], factor[candidates].T)
        by_others = exact - product(left_out, factor[candidates].T)
        return measured(belief.landmarks, exact, candidates) - measured(
            belief.landmarks, by_others, candidates
        )

    missed = in_tiles(missed_at_landmarks, rank)
    mean, logits, remainder, v = mean[rows], logits[rows], remainder[rows], v[rows]
    is_landmark = (rows[:, None] == belief.landmarks).any(1)
    usable = ~is_landmark & jnp.isfinite(plain) & jnp.isfinite(missed)
    label = jax.vmap(TASKS[task].pseudo_label)(logits, mean)
    step = jnp.linalg.norm(label - mean, axis=1)
    spread, deviation = gain(remainder, v), jnp.sqrt(gain(remainder, v))
    features = jnp.stack(
        [jnp.ones_like(v), plain, spread, deviation, step * spread, step * deviation], 1
    )
    num_others = num_drawn - rank - (num_candidates is None)  # a candidate's own term is exact
    all_others = num_others * num_points / num_drawn
    predicted = _regress(features, missed, usable) * all_others / rank
    return jnp.where(usable, plain + predicted, plain)


def _as(values: Array, dtype: jnp.dtype) -> Array:
    return values.astype(dtype)


def _in_tiles(function: Callable[[Array], Array], rows: Array, size: int) -> Array:
    """Applies a function of rows to ``size`` rows at a time."""
    num = len(rows)
    size = min(size, num)
    num_tiles = -(-num // size)
    # The last tile overlaps the one before it, so that all tiles have the same shape.
    starts = jnp.minimum(jnp.arange(num_tiles) * size, num - size)
    values = jax.lax.map(
        lambda start: function(jax.lax.dynamic_slice_in_dim(rows, start, size)), starts
    )
    places = (starts[:, None] + jnp.arange(size)).ravel()
    return jnp.zeros(num, values.dtype).at[places].set(values.ravel())


def residual_factor(belief: LandmarkPosterior) -> Array:
    """B with R(P, j) = B F(j), the residuals of all landmarks, ``[r, r]``.

    S(P, j) = F(P) F(j)ᵀ, so that B = S(P, P)⁻¹ F(P), divided by the diagonal of S(P, P)⁻¹.
    """
    own = belief.factor[belief.landmarks]
    among = product(own, own.T)
    identity = jnp.eye(len(among), dtype=among.dtype)
    cholesky = jnp.linalg.cholesky(among + _JITTER * jnp.diagonal(among).mean() * identity)
    inverse = jax.scipy.linalg.cho_solve((cholesky, True), identity)
    return product(inverse, own) / jnp.diagonal(inverse)[:, None]


def _regress(features: Array, values: Array, usable: Array) -> Array:
    """Returns what a linear regression on the usable rows predicts for every row."""
    scale = jnp.max(jnp.abs(jnp.where(usable[:, None], features, 0)), 0)
    features = jnp.where(usable[:, None], gain(features, scale), 0)
    coefficients, *_ = jnp.linalg.lstsq(features, jnp.where(usable, values, 0))
    return features @ coefficients
