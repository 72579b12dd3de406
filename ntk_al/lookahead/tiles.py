"""Computes the scores of many candidates in tiles, so that memory stays bounded."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ntk_al._utils import sharding
from ntk_al.lookahead import factorization, posterior
from ntk_al.lookahead.criteria import Evaluation
from ntk_al.lookahead.factorization import Points
from ntk_al.lookahead.outcomes import RankC, RankOne
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Predictive
from ntk_al.types import Array

_TILE_BYTES = 128 * 2**20  # upper bound for one [tile, E, C] array of a criterion


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "task", "mesh"))
def score_candidates(
    evaluation: Points,
    pool: Points,
    noise: Array,
    predictive: Predictive,
    eval_diagonal: Array,
    theta: Array,
    diagonal: Array,
    num_evaluation: Array,
    *,
    criterion: str,
    reference: str,
    task: str,
    mesh: Mesh | None,
) -> Array:
    """Computes scores ``[U]`` from Θ(E, U), forming S(E, U) for one tile of candidates at a time.

    Args:
      evaluation: the posterior at the evaluation points.
      pool: the posterior at the candidates.
      noise: λ.
      predictive: p(y | x) as a function of the outputs.
      eval_diagonal: diag Θ(E, E), ``[E]``.
      theta: Θ(E, U), ``[E, U]``.
      diagonal: diag Θ(U, U), ``[U]``.
      num_evaluation: how many evaluation points there are; the others are padding.
      criterion: one of the criteria of the task.
      reference: a member of ``REFERENCES``.
      task: a key of ``TASKS``.
      mesh: devices that share the candidates; ``None`` means one device.
    """
    wide = evaluation.mean.dtype

    def label_variance(points: Points, prior: Array) -> Array:
        of_points = factorization.variance(points, prior)
        return posterior.label_variance(of_points, noise, prior.astype(wide))

    before = Evaluation(
        evaluation.mean,
        evaluation.mean - evaluation.logits,
        (jnp.arange(len(evaluation.mean)) < num_evaluation).astype(wide),
        predictive,
        label_variance(evaluation, eval_diagonal),
    )

    def of_share(pool: Points, theta: Array, diagonal: Array) -> Array:
        num_candidates = len(pool.mean)
        size = max(1, _TILE_BYTES // (wide.itemsize * len(evaluation.mean)))
        size = min(size, num_candidates)
        variance = label_variance(pool, diagonal)

        def of_tile(tile: Array, scores: Array) -> Array:
            # The last tile overlaps the one before it, so that all tiles have the same shape.
            start = jnp.minimum(tile * size, num_candidates - size)

            def cut(array: Array, axis: int) -> Array:
                return jax.lax.dynamic_slice_in_dim(array, start, size, axis)

            candidates = Points(
                logits=cut(pool.logits, 0),
                mean=cut(pool.mean, 0),
                whitened=cut(pool.whitened, 1),
                dual=None if pool.dual is None else cut(pool.dual, 1),
            )
            covariance = factorization.covariance(evaluation, candidates, cut(theta, 1))
            of_candidates = cut(variance, 0)
            gain = posterior.gain(covariance, of_candidates)
            part = evaluate(
                before,
                RankOne(gain.T, candidates.mean, candidates.logits, of_candidates),
                criterion=criterion,
                reference=reference,
                task=task,
            )
            return jax.lax.dynamic_update_slice_in_dim(scores, part, start, 0)

        num_tiles = -(-num_candidates // size)
        return jax.lax.fori_loop(0, num_tiles, of_tile, jnp.zeros(num_candidates, wide))

    if mesh is None:
        return of_share(pool, theta, diagonal)
    share = P(sharding.MESH_AXIS)
    columns = P(None, sharding.MESH_AXIS)
    dual = None if pool.dual is None else columns
    of_pool = Points(share, share, columns, dual)  # type: ignore[arg-type]
    return jax.shard_map(
        of_share, mesh=mesh, in_specs=(of_pool, columns, share), out_specs=share, check_vma=False
    )(pool, theta, diagonal)


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "task"))
def evaluate(
    evaluation: Evaluation,
    candidates: RankOne | RankC,
    *,
    criterion: str,
    reference: str,
    task: str,
) -> Array:
    """Computes the criterion of each candidate, ``[U]``, for a bounded number at a time."""
    if reference == "linearized":
        evaluation = dataclasses.replace(evaluation, offset=None)
    evaluation, candidates = TASKS[task].view(evaluation, candidates)
    num_eval, num_classes = evaluation.mean.shape
    tile = max(1, _TILE_BYTES // (evaluation.mean.dtype.itemsize * num_eval * num_classes))
    scores = jax.lax.map(
        functools.partial(TASKS[task].criteria[criterion], evaluation),
        candidates,
        batch_size=min(tile, len(candidates.mean)),
    )
    # argmax would pick a NaN; a candidate that cannot be scored must be queried last instead.
    return jnp.where(jnp.isfinite(scores), scores, -jnp.inf)
