"""From a problem to a posterior of low rank: kernel columns of landmarks until scores settle.

Landmarks are drawn uniformly from the evaluation points. Greedy and randomly pivoted choices (Chen,
Epperly, Tropp and Webber 2023) explain no more of S here, and need the diagonal before the first
column; and only a uniform sample makes the correction of the scores unbiased, see ``scores``.
"""

from __future__ import annotations

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import kernels
from ntk_al._utils import checks, examples, float64, progress, sharding
from ntk_al.kernels.empirical.gram import unchecked_blocks
from ntk_al.lookahead import probabilities
from ntk_al.lookahead.conditioning import conditioned
from ntk_al.lookahead.factorization import covariance, variance
from ntk_al.lookahead.landmarks.posterior import LandmarkPosterior
from ntk_al.lookahead.landmarks.scores import scores
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.problem import Problem
from ntk_al.types import Array, GramBlocks

_log = logging.getLogger(__name__)

MOST_POINTS = 4096
"""Of more evaluation points, that many are drawn."""

CHUNK = 8192
"""How many query points are recorded at a time, so that their gradients never exist all at once."""

_FEWEST = 256
_MOST_COMPARED = 2048
_JITTERS = (
    1e-8,
    1e-6,
    1e-4,
    1e-2,
)  # of the mean prior variance; kernels in float32 are off by 1e-7


def first_rank(num_labeled: int, num_points: int) -> int:
    """Returns with how many landmarks to begin: more labels make the effect of a label more local.

    Args:
      num_labeled: L.
      num_points: the number of evaluation points.
    """
    return min(max(_FEWEST, num_labeled), num_points)


def condition(problem: Problem, options: ScoreOptions) -> LandmarkPosterior:
    """Computes the posterior at the candidates, followed by the evaluation points, if any.

    Without ``options.rank``, landmarks are doubled until the scores of all of them and of half of
    them have a rank correlation of at least 1 − ``options.tolerance``.

    Args:
      problem: the inputs.
      options: the options of the score.

    Raises:
      TypeError: under ``jax.jit``.
      ValueError: if the rank is larger than the number of evaluation points.
    """
    if checks.is_traced(problem.network, problem.residual, problem.pool_logits):
        raise TypeError(
            "approximation='landmarks' decides on the host how many landmarks it takes, so it "
            "cannot be jitted: leave jit out, or use approximation='none'"
        )
    options = probabilities.resolved(options, problem)
    first = problem.num_candidates or 0
    square = problem.with_one_set()
    points = np.arange(first, square.num_pool)
    if options.rank is not None and options.rank > len(points):
        raise ValueError(
            f"rank ({options.rank}) must not exceed the number of evaluation points, {len(points)}"
        )
    # The seed is fixed, so that a score is a function of its arguments.
    order = np.random.default_rng(0).permutation(points)[: max(MOST_POINTS, options.rank or 0)]
    rank = options.rank or first_rank(len(problem.residual), len(order))
    rows = _Rows(square, options, order, rank)
    while True:
        belief = rows.posterior(rank)
        if options.rank is not None or rank == len(order):
            break
        agreement = _agreement(belief, rows.posterior(rank // 2), options, problem.num_candidates)
        _log.info("%d landmarks: agreement %.4f with half of them", rank, agreement)
        belief = dataclasses.replace(belief, agreement=np.array(agreement, np.float32))
        if agreement >= 1 - options.tolerance:
            break
        rank = min(2 * rank, len(order))
        rows.append(rank)
    return belief


class _Rows:
    """Rows S(P, Q) of landmarks, to which more can be appended."""

    def __init__(
        self, square: Problem, options: ScoreOptions, order: np.ndarray, rank: int
    ) -> None:
        """Computes the first rows; landmarks are the first of the evaluation points in order."""
        self._square, self._options, self._order = square, options, order
        self._everywhere = sharding.everywhere(sharding.automatic(options.mesh))
        with progress.shown(f"{rank} landmarks", len(self._chunks())) as advance:
            parts: list[GramBlocks] = []
            for chunk in self._chunks():
                parts.append(self._first_blocks(order[:rank], chunk, labeled=not parts))
                advance(parts[-1])
        self._factor = conditioned(square, options, parts[0].labeled)
        cross = self._joined([part.labeled_pool for part in parts])
        self._points = self._factor.at(cross, square.pool_logits)
        with float64.widest(self._points) as dtype:
            prior = self._joined([part.pool_diagonal for part in parts])
            self._prior = float64.here(jnp.asarray(prior, dtype))
        self._variance = variance(self._points, self._prior)
        theta = self._joined([part.eval_pool for part in parts])[:rank]
        del parts
        self._rows = self._covariance(order[:rank], theta)

    def append(self, rank: int) -> None:
        """Adds rows until there are ``rank``."""
        options, landmarks = self._options, self._order[len(self._rows) : rank]
        x_landmarks = examples.take(self._square.x_pool, landmarks)
        with progress.shown(f"{rank} landmarks", len(self._chunks())) as advance:
            parts = []
            for chunk in self._chunks():
                theta = kernels.gram(
                    self._square.network,
                    x_landmarks,
                    examples.take(self._square.x_pool, chunk),
                    readout=options.readout,
                    precision=options.precision,
                    memory_budget=options.memory_budget,
                    mesh=options.mesh,
                )
                parts.append(theta)
                advance(theta)
        rows = self._covariance(landmarks, self._joined(parts))
        with float64.widest(rows):
            self._rows = jnp.concatenate([self._rows, rows])

    def posterior(self, rank: int) -> LandmarkPosterior:
        """Returns the posterior with the first ``rank`` landmarks."""
        landmarks = self._order[:rank]
        with float64.widest(self._rows):
            factor = self._low_rank(self._rows[:rank], landmarks)
            remainder = jnp.maximum(self._variance - jnp.square(factor).sum(1), 0)
            trace_left = remainder.sum() / self._variance.sum()
        return LandmarkPosterior(
            mean=self._points.mean,
            factor=factor,
            remainder=remainder,
            landmarks=float64.here(jnp.asarray(landmarks.astype(np.int32))),
            points=float64.here(jnp.asarray(np.sort(self._order).astype(np.int32))),
            logits=self._points.logits,
            noise=self._factor.noise,
            ridge=self._factor.ridge,
            condition_number=self._factor.condition_number,
            prior=self._prior,
            trace_left=trace_left,
        )

    def _chunks(self) -> list[slice]:
        num = self._square.num_pool
        return [slice(start, min(start + CHUNK, num)) for start in range(0, num, CHUNK)]

    def _joined(self, parts: list[Array]) -> np.ndarray:
        """Joins the columns of chunks, whose padding is cut off."""
        sizes = [chunk.stop - chunk.start for chunk in self._chunks()]
        whole = [np.asarray(self._everywhere(part)) for part in parts]
        return np.concatenate(
            [part[..., :size] for part, size in zip(whole, sizes, strict=True)], -1
        )

    def _first_blocks(self, landmarks: np.ndarray, chunk: slice, *, labeled: bool) -> GramBlocks:
        square, options = self._square, self._options
        return unchecked_blocks(
            square.network,
            square.x_labeled,
            examples.take(square.x_pool, chunk),
            examples.take(square.x_pool, landmarks),
            readout=options.readout,
            precision=options.precision,
            memory_budget=options.memory_budget,
            mesh=options.mesh,
            padded=True,
            labeled=labeled and options.solver == "cholesky",
        )

    def _covariance(self, landmarks: np.ndarray, theta: np.ndarray) -> Array:
        return covariance(self._points.take(landmarks), self._points, theta)

    def _low_rank(self, rows: Array, landmarks: np.ndarray) -> Array:
        """F = S(Q, P) K⁻ᵀ, ``[Q, r]``."""
        mean_prior = self._prior.mean()
        for jitter in _JITTERS:
            factor = _triangular(rows, jnp.asarray(landmarks), jitter * mean_prior)
            if bool(jnp.isfinite(factor).all()):
                return factor
        raise ValueError(
            "the covariance of the landmarks is not positive definite: the kernel or the logits of "
            "the query points are NaN, infinite or too large. Normalize the inputs, or retrain "
            "with a lower learning rate"
        )


@jax.jit
def _triangular(rows: Array, landmarks: Array, jitter: Array) -> Array:
    among = rows[:, landmarks]
    among = (among + among.T) / 2 + jitter * jnp.eye(len(rows), dtype=rows.dtype)
    cholesky = jnp.linalg.cholesky(among)
    return jax.scipy.linalg.solve_triangular(cholesky, rows, lower=True).T


def _agreement(
    belief: LandmarkPosterior,
    half: LandmarkPosterior,
    options: ScoreOptions,
    num_candidates: int | None,
) -> float:
    """The rank correlation of the scores of two posteriors, over a sample of the candidates."""
    num = len(belief.logits) if num_candidates is None else num_candidates
    rows = np.random.default_rng(1).permutation(num)[:_MOST_COMPARED]
    ranks = []
    for of in (belief, half):
        with float64.widest(of):
            found = scores(
                of,
                float64.here(options.predictive),
                float64.here(jnp.asarray(np.sort(rows))),
                criterion=options.criterion,
                reference=options.reference,
                num_candidates=num_candidates,
                task=options.task,
            )
        ranks.append(np.asarray(found).argsort().argsort())
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
