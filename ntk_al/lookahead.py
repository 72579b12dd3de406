"""Look-ahead: what the network would become if a candidate were labeled, for all of them at once.

Labeling x_j as y moves the retrained linearised network everywhere by a rank-one step (Eq. 11 and
12 of the paper, the latter corrected as in ``posterior``):

    mean⁺(x) = mean(x) + w(x, j) e_j,   w(x, j) = S(x, x_j) / (S_jj + λ),   e_j = y − mean(x_j)

A criterion turns the step of one candidate into a number; to add one, add a function and a row in
``CRITERIA``.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al import checks, kernels, posterior, precision
from ntk_al.network import READOUTS, Network
from ntk_al.posterior import Posterior
from ntk_al.types import Array, ArrayLike

REFERENCES = ("network", "linearized")
"""What a change of outputs is measured from: f, as Eq. 13 prints it, or the retrained mean."""

_FAR_FROM_TARGETS = 0.5  # per example; one-hot targets have norm 1
_TILE_BYTES = 128 * 2**20  # the most that one [tile, E, C] array of a criterion may take


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The points at which a change is measured, before any candidate is labeled.

    Attributes:
      mean: outputs of the retrained linearised network, ``[E, C]``.
      offset: mean − f, ``[E, C]``; zero where changes are measured from the mean itself.
    """

    mean: Array
    offset: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Candidates:
    """The step that each candidate would cause. Criteria see one of them, without the axis U.

    Attributes:
      gain: w(x, j) at every evaluation point, ``[U, E]``.
      mean: mean(x_j), ``[U, C]``.
      logits: f(x_j) of the network, which gives the pseudo-label and p(y | x_j), ``[U, C]``.
    """

    gain: Array
    mean: Array
    logits: Array

    def step(self, label: Array) -> Array:
        """e_j = y − mean(x_j) for a class id, ``[C]``."""
        return jax.nn.one_hot(label, self.mean.shape[-1], dtype=self.mean.dtype) - self.mean


Criterion = Callable[[Evaluation, Candidates], Array]
"""The score of one candidate: gain ``[E]``, mean and logits ``[C]``; higher is queried first."""


def mlmoc(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Most likely model output change, Eq. 13: Σ_x ‖b(x) + w(x, j) e_j‖₂, y = argmax f(x_j)."""
    return _output_change(evaluation, candidate, jnp.argmax(candidate.logits))


def emoc(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Expected model output change, Eq. 3 with the L2 distance: E over y ~ softmax f(x_j)."""
    change = functools.partial(_output_change, evaluation, candidate)
    return jax.nn.softmax(candidate.logits) @ _for_each_class(change, candidate)


def eer(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Expected error reduction, Eq. 2: − E over y of Σ_x entropy(softmax mean⁺(x)).

    No change of outputs is measured, so the reference does not enter.
    """

    def entropy_after(label: Array) -> Array:
        after = evaluation.mean + jnp.outer(candidate.gain, candidate.step(label))
        return entropy(after).sum()

    return -jax.nn.softmax(candidate.logits) @ _for_each_class(entropy_after, candidate)


def flips(evaluation: Evaluation, candidate: Candidates) -> Array:
    """Number of evaluation points whose argmax changes, y = argmax f(x_j).

    The objective of the authors' released code, where the paper prints Eq. 13.
    """
    step = candidate.step(jnp.argmax(candidate.logits))
    after = evaluation.mean + jnp.outer(candidate.gain, step)
    before = evaluation.mean - evaluation.offset
    return (after.argmax(1) != before.argmax(1)).sum().astype(after.dtype)


CRITERIA: dict[str, Criterion] = {"mlmoc": mlmoc, "emoc": emoc, "eer": eer, "flips": flips}


def entropy(logits: Array) -> Array:
    """Entropy of softmax, in nats, ``[..., C]`` to ``[...]``."""
    # One exponential for each logit: they are nearly all of the cost of EER.
    shifted = logits - logits.max(-1, keepdims=True)
    weights = jnp.exp(shifted)
    total = weights.sum(-1)
    return jnp.log(total) - (weights * shifted).sum(-1) / total


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
      readout: the scalar whose gradient makes the kernel, a key of ``network.READOUTS``.
      reference: ``"network"`` measures changes from f (Eq. 13 as printed), ``"linearized"`` from
        the retrained linearised network.
      ridge: λ / mean diag Θ(L, L); raised tenfold until the kernel factorises.
      x_eval: points whose outputs are compared, ``[E, ...]``; ``None`` means the candidates.

    Returns:
      Scores ``[U]``, higher = query first. Never NaN.

    Raises:
      TypeError: an argument of another kind.
      ValueError: unknown names, empty sets, shapes or labels that do not fit, NaN or infinite
        inputs, a network whose logits or kernel are not finite.

    Warns:
      UserWarning: the network was hardly fitted to its labels, or not with the squared loss.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be an ntk_al.Network(module, variables), got {type(network).__name__}"
        )
    checks.one_of("criterion", criterion, CRITERIA)
    checks.one_of("readout", readout, READOUTS)
    checks.one_of("reference", reference, REFERENCES)
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

    theta = kernels.blocks(network, x_labeled, x_pool, x_eval, readout=readout)
    factor = posterior.factorize(theta.labeled, residual, ridge=ridge)
    pool = factor.at(theta.labeled_pool, logits["x_pool"])
    evaluation = pool
    if x_eval is not None:
        evaluation = factor.at(theta.labeled_eval, logits["x_eval"])
    with precision.widest(factor, pool, evaluation, theta):
        scores = _evaluate(
            Evaluation(evaluation.mean, evaluation.mean - evaluation.logits),
            Candidates(
                posterior.gain(
                    posterior.covariance(evaluation, pool, theta.eval_pool),
                    posterior.variance(pool, theta.pool_diagonal),
                    factor.noise,
                ).T,
                pool.mean,
                pool.logits,
            ),
            criterion=criterion,
            reference=reference,
        )
    return precision.to_default(scores)


def score_posterior(
    belief: Posterior, *, criterion: str = "mlmoc", reference: str = "network"
) -> Array:
    """Scores every query point of a posterior, as candidates and evaluation points at once.

    The composable form of ``score``: after ``belief.observe(...)`` nothing is computed again but
    the criterion.

    Args:
      belief: from ``posterior.condition``. A point that was observed still gets a score, which is
        for the caller to mask.
      criterion: a key of ``CRITERIA``.
      reference: see ``score``.

    Returns:
      Scores ``[Q]``, higher = query first. Never NaN.
    """
    checks.one_of("criterion", criterion, CRITERIA)
    checks.one_of("reference", reference, REFERENCES)
    with precision.widest(belief) as dtype:
        belief = jax.tree.map(lambda leaf: leaf.astype(dtype), belief)
        scores = _score_posterior(belief, criterion=criterion, reference=reference)
    return precision.to_default(scores)


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


def _for_each_class(function: Callable[[Array], Array], candidate: Candidates) -> Array:
    return jax.lax.map(function, jnp.arange(candidate.mean.shape[-1]))


def _output_change(evaluation: Evaluation, candidate: Candidates, label: Array) -> Array:
    """Σ_x ‖b(x) + w(x, j) e_j‖₂ with the square expanded, so that nothing of size E·C is built."""
    b, w, e = evaluation.offset, candidate.gain, candidate.step(label)
    squared = jnp.square(b).sum(1) + 2 * w * (b @ e) + jnp.square(w) * (e @ e)
    return jnp.sqrt(jnp.maximum(squared, 0)).sum()


@functools.partial(jax.jit, static_argnames=("criterion", "reference"))
def _evaluate(
    evaluation: Evaluation, candidates: Candidates, *, criterion: str, reference: str
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
        Candidates(w.T, belief.mean, belief.logits),
        criterion=criterion,
        reference=reference,
    )
