"""Look-ahead: what the network would become if a candidate were labeled, for all of them at once.

Labeling x_j as y moves the retrained linearized network everywhere by a rank-one step (Eq. 11 and
12 of the paper, the latter corrected as in ``posterior``):

    mean⁺(x) = mean(x) + w(x, j) e_j,   w(x, j) = S(x, x_j) / (S_jj + λ),   e_j = y − mean(x_j)

A criterion (``criteria``) turns the step of one candidate into a number.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ntk_al import kernels
from ntk_al._utils import checks, sharding
from ntk_al._utils.float64 import to_default, widest
from ntk_al.lookahead import full_posterior, posterior
from ntk_al.lookahead.criteria import CRITERIA, Evaluation, RankC, RankOne
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Points, Posterior
from ntk_al.network import READOUTS, Network
from ntk_al.types import Array, ArrayLike

REFERENCES = ("network", "linearized")
"""What a change of outputs is measured from: f, as Eq. 13 prints it, or the retrained mean."""

ALL_LOGITS = "all_logits"
"""In place of a read-out: the LC × LC kernel of every pair of logits, for small problems."""

_FAR_FROM_TARGETS = 0.5  # per example; one-hot targets have norm 1
_TILE_BYTES = 128 * 2**20  # the most that one [tile, E, C] array of a criterion may take


def score(
    network: Network,
    x_labeled: ArrayLike,
    y_labeled: ArrayLike,
    x_pool: ArrayLike,
    *,
    criterion: str = "mlmoc",
    readout: str = "first_logit",
    reference: str = "network",
    ridge: float = 1e-4,
    x_eval: ArrayLike | None = None,
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> Array:
    """Scores every candidate by what the network would become if it were labeled.

    ``kernels.blocks``, ``posterior.factorize`` and a criterion composed; all of them are public.
    Pure, and usable under ``jax.jit`` (names static), where values cannot be checked.

    Args:
      network: a trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids ``[L]`` or real targets ``[L, C]``; C is the network's output size.
      x_pool: candidates, ``[U, ...]``.
      criterion: a key of ``CRITERIA``.
      readout: the scalar whose gradient makes the kernel, a key of ``network.READOUTS``; or
        ``"all_logits"`` for the kernel of every pair of logits, which needs C² times the memory and
        is for small problems.
      reference: ``"network"`` measures changes from f (Eq. 13 as printed), ``"linearized"`` from
        the retrained linearized network.
      ridge: λ / mean diag Θ(L, L); raised tenfold until the kernel factorizes.
      x_eval: points whose outputs are compared, ``[E, ...]``; ``None`` means the candidates.
      precision: of the Jacobian's entries, see ``kernels.gram``; all after the kernel is in float64
        where the device has it.
      memory_budget: bytes that the kernel may take on each device; ``None`` means most of what is
        free.
      mesh: devices with an axis ``pool`` that share the candidates.

    Returns:
      Scores ``[U]``, higher = query first. Never NaN.

    Raises:
      TypeError: an argument of another kind.
      ValueError: unknown names, empty sets, shapes or labels that do not fit, NaN or infinite
        inputs, a network whose logits or kernel are not finite, a budget that is too small.

    Warns:
      UserWarning: the network was hardly fitted to its labels, or not with the squared loss.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be an ntk_al.Network(module, variables), got {type(network).__name__}"
        )
    checks.one_of("criterion", criterion, CRITERIA)
    checks.one_of("readout", readout, (*READOUTS, ALL_LOGITS))
    checks.one_of("reference", reference, REFERENCES)
    checks.one_of("precision", precision, kernels.PRECISIONS)
    sharding.checked(mesh)
    if not checks.is_traced(ridge):
        checks.at_least("ridge", ridge, 0)
    sets = {"x_labeled": x_labeled, "x_pool": x_pool}
    if x_eval is not None:
        sets["x_eval"] = x_eval
    for name, x in sets.items():
        checks.inputs(name, x)
        checks.same_example_shape("x_labeled", x_labeled, name, x)
    num_classes = network.check(x_labeled)
    targets = checks.targets("y_labeled", y_labeled, len(x_labeled), num_classes)
    logits = {name: network.predict(x) for name, x in sets.items()}
    residual = targets - logits["x_labeled"]
    if reference == "network":
        _warn_of_large_residual(residual)

    if readout == ALL_LOGITS:
        _check_all_logits(precision, mesh)
        return _score_all_logits(
            network, sets, logits, residual, criterion, reference, ridge, memory_budget
        )
    mesh, num_pool = sharding.checked(mesh), len(x_pool)
    pool_logits: ArrayLike = logits["x_pool"]
    if mesh is not None:
        # Every device takes equally many candidates; repeats of the last one fill up.
        x_pool, pool_logits = (_fill(a, -num_pool % mesh.size) for a in (x_pool, pool_logits))
    theta = kernels.blocks(
        network,
        x_labeled,
        x_pool,
        x_eval,
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
    )
    everywhere = sharding.everywhere(mesh)
    factor = posterior.factorize(everywhere(theta.labeled), residual, ridge=ridge)
    pool = factor.at(everywhere(theta.labeled_pool), pool_logits)
    evaluation = pool
    if x_eval is not None:
        evaluation = factor.at(everywhere(theta.labeled_eval), logits["x_eval"])
    elif len(x_pool) > num_pool:
        evaluation = Points(
            pool.logits[:num_pool], pool.mean[:num_pool], pool.whitened[:, :num_pool]
        )
    known = (evaluation, pool, factor.noise)
    if mesh is not None:
        known = jax.tree.map(np.asarray, known)  # the same on every host
    with widest(known, theta):
        scores = _score_candidates(
            *known,
            theta.eval_pool[: len(evaluation.mean)],
            theta.pool_diagonal,
            criterion=criterion,
            reference=reference,
            mesh=mesh,
        )
    return to_default(jnp.asarray(everywhere(scores))[:num_pool])


def score_posterior(
    belief: Posterior | FullPosterior, *, criterion: str = "mlmoc", reference: str = "network"
) -> Array:
    """Scores every query point of a posterior, as candidates and evaluation points at once.

    The composable form of ``score``: after ``belief.observe(...)`` nothing is computed again but
    the criterion.

    Args:
      belief: from ``posterior.condition``, or ``full_posterior.condition``. A point that was
        observed still gets a score, which is for the caller to mask.
      criterion: a key of ``CRITERIA``.
      reference: see ``score``.

    Returns:
      Scores ``[Q]``, higher = query first. Never NaN.
    """
    checks.one_of("criterion", criterion, CRITERIA)
    checks.one_of("reference", reference, REFERENCES)
    with widest(belief) as dtype:
        belief = jax.tree.map(lambda leaf: leaf.astype(dtype), belief)
        of_kind = _score_full if isinstance(belief, FullPosterior) else _score_posterior
        scores = of_kind(belief, criterion=criterion, reference=reference)
    return to_default(scores)


def _warn_of_large_residual(residual: Array) -> None:
    if checks.is_traced(residual):
        return
    distance = float(jnp.linalg.norm(residual, axis=1).mean())
    if distance > _FAR_FROM_TARGETS:
        warnings.warn(
            f"the outputs of the network on the labeled set are far from its targets: the mean of "
            f"‖y − f(x)‖ is {distance:.2g}, and would be about 1 without any training. Changes "
            "measured from the network are then mostly retraining and hardly the candidate. Train "
            "with the squared loss on one-hot targets, or score with reference='linearized'.",
            stacklevel=3,
        )


def _check_all_logits(precision: str, mesh: Mesh | None) -> None:
    if mesh is not None or precision != "float32":
        raise ValueError(
            "readout='all_logits' is for small problems: it takes neither a mesh nor a precision "
            "other than float32"
        )


def _score_all_logits(
    network: Network,
    sets: dict[str, ArrayLike],
    logits: dict[str, Array],
    residual: Array,
    criterion: str,
    reference: str,
    ridge: float,
    memory_budget: int | None,
) -> Array:
    """``score`` with the kernel of all logits; the pool follows the evaluation points."""
    names = [name for name in ("x_eval", "x_pool") if name in sets]
    x_query = jnp.concatenate([jnp.asarray(sets[name]) for name in names])
    blocks = kernels.full_blocks(network, sets["x_labeled"], x_query, memory_budget=memory_budget)
    belief = full_posterior.condition(
        blocks, residual, jnp.concatenate([logits[name] for name in names]), ridge=ridge
    )
    num_eval = len(sets[names[0]])
    with widest(belief) as dtype:
        belief = jax.tree.map(lambda leaf: leaf.astype(dtype), belief)
        scores = _score_full(
            belief,
            criterion=criterion,
            reference=reference,
            num_eval=num_eval,
            num_pool=len(sets["x_pool"]),
        )
    return to_default(scores)


def _fill(x: ArrayLike, missing: int) -> np.ndarray:
    x = np.asarray(x)
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "mesh"))
def _score_candidates(
    evaluation: Points,
    pool: Points,
    noise: Array,
    theta: Array,
    diagonal: Array,
    *,
    criterion: str,
    reference: str,
    mesh: Mesh | None,
) -> Array:
    """Scores ``[U]`` from Θ(E, U), with S(E, U) formed for a tile of candidates at a time."""
    wide = evaluation.mean.dtype

    def of_share(pool: Points, theta: Array, diagonal: Array) -> Array:
        num_candidates = len(pool.mean)
        size = max(1, _TILE_BYTES // (wide.itemsize * len(evaluation.mean)))
        size = min(size, num_candidates)
        variance = posterior.variance(pool, diagonal)

        def of_tile(tile: Array, scores: Array) -> Array:
            # The last tile overlaps the one before: all have one shape.
            start = jnp.minimum(tile * size, num_candidates - size)

            def cut(array: Array, axis: int) -> Array:
                return jax.lax.dynamic_slice_in_dim(array, start, size, axis)

            candidates = Points(
                logits=cut(pool.logits, 0), mean=cut(pool.mean, 0), whitened=cut(pool.whitened, 1)
            )
            covariance = posterior.covariance(evaluation, candidates, cut(theta, 1))
            gain = posterior.gain(covariance, cut(variance, 0), noise)
            part = _evaluate(
                Evaluation(evaluation.mean, evaluation.mean - evaluation.logits),
                RankOne(gain.T, candidates.mean, candidates.logits),
                criterion=criterion,
                reference=reference,
            )
            return jax.lax.dynamic_update_slice_in_dim(scores, part, start, 0)

        num_tiles = -(-num_candidates // size)
        return jax.lax.fori_loop(0, num_tiles, of_tile, jnp.zeros(num_candidates, wide))

    if mesh is None:
        return of_share(pool, theta, diagonal)
    share = P(sharding.MESH_AXIS)
    columns = P(None, sharding.MESH_AXIS)
    of_pool = Points(logits=share, mean=share, whitened=columns)  # type: ignore[arg-type]
    return jax.shard_map(
        of_share, mesh=mesh, in_specs=(of_pool, columns, share), out_specs=share, check_vma=False
    )(pool, theta, diagonal)


@functools.partial(jax.jit, static_argnames=("criterion", "reference"))
def _evaluate(
    evaluation: Evaluation, candidates: RankOne | RankC, *, criterion: str, reference: str
) -> Array:
    if reference == "linearized":
        evaluation = dataclasses.replace(evaluation, offset=jnp.zeros_like(evaluation.offset))
    num_eval, num_classes = evaluation.mean.shape
    tile = max(1, _TILE_BYTES // (evaluation.mean.dtype.itemsize * num_eval * num_classes))
    scores = jax.lax.map(
        functools.partial(CRITERIA[criterion], evaluation),
        candidates,
        batch_size=min(tile, len(candidates.mean)),
    )
    # An argmax over NaN picks it: a candidate that cannot be scored is queried last.
    return jnp.where(jnp.isfinite(scores), scores, -jnp.inf)


@functools.partial(jax.jit, static_argnames=("criterion", "reference"))
def _score_posterior(belief: Posterior, *, criterion: str, reference: str) -> Array:
    w = posterior.gain(belief.covariance, jnp.diagonal(belief.covariance), belief.noise)
    return _evaluate(
        Evaluation(belief.mean, belief.mean - belief.logits),
        RankOne(w.T, belief.mean, belief.logits),
        criterion=criterion,
        reference=reference,
    )


@functools.partial(jax.jit, static_argnames=("criterion", "reference", "num_eval", "num_pool"))
def _score_full(
    belief: FullPosterior,
    *,
    criterion: str,
    reference: str,
    num_eval: int | None = None,
    num_pool: int | None = None,
) -> Array:
    """The first query points are evaluation points, the last are candidates; all by default."""
    first = 0 if num_pool is None else len(belief.logits) - num_pool
    mean, logits = belief.mean, belief.logits
    gain = full_posterior.gain(belief.covariance[:, :, first:], belief.noise)[:, :num_eval]
    return _evaluate(
        Evaluation(mean[:num_eval], (mean - logits)[:num_eval]),
        RankC(gain, mean[first:], logits[first:]),
        criterion=criterion,
        reference=reference,
    )
