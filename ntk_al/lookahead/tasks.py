"""Tasks: what the outputs of the network and the labels mean.

A task turns labels into real targets, one for each output of the network, and says which criteria
make sense for them. To add a task, add a row to ``TASKS``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al.lookahead.criteria import CRITERIA, Evaluation, Rule
from ntk_al.lookahead.outcomes import RankC, RankOne
from ntk_al.lookahead.regression_criteria import REGRESSION_CRITERIA
from ntk_al.types import Array, ArrayLike


@dataclasses.dataclass(frozen=True)
class Task:
    """What outputs and labels mean.

    Attributes:
      check: raises ValueError unless a network with so many outputs fits.
      targets: maps the name of the labels in messages, the labels, their number N and the number of
        outputs C to targets, ``[N, C]``.
      distance: maps targets ``[N, C]`` to the mean distance to them of a network that has learned
        nothing.
      pseudo_label: maps f(x_j) and mean(x_j), ``[C]`` each, to the target ``[C]`` that a greedy
        batch assumes for a candidate whose label is unknown.
      criteria: the criteria that make sense, by name.
      view: maps the evaluation points and the candidates to what criteria see of them.
      class_outputs: maps outputs or targets ``[..., C]`` to one output for each class; ``None`` if
        there are no classes.
    """

    check: Callable[[int], None]
    targets: Callable[[str, ArrayLike, int, int], Array]
    distance: Callable[[Array], Array | float]
    pseudo_label: Callable[[Array, Array], Array]
    criteria: Mapping[str, Rule]
    view: Callable[[Evaluation, RankOne | RankC], tuple[Evaluation, RankOne | RankC]]
    class_outputs: Callable[[Any], Any] | None


def two_logits(f: Array) -> Array:
    """The logits h = ((1 − f)/2, (1 + f)/2) of classes 0 and 1, ``[..., 2]``, from f ``[..., 1]``.

    If f is −1 or +1, then h is the one-hot vector of class 0 or 1.
    """
    return jnp.concatenate([(1 - f) / 2, (1 + f) / 2], -1)


def _one_logit(num_outputs: int) -> None:
    if num_outputs != 1:
        raise ValueError(
            "task='binary' is for a network with one output, which is trained on the targets -1 "
            f"and +1, but this one has {num_outputs} outputs. Use task='classification' for a "
            "network with one output for each class"
        )


def _signs(name: str, y: ArrayLike, num_examples: int, num_outputs: int) -> Array:
    """Converts class ids 0 and 1, or booleans, to targets −1 and +1, ``[N, 1]``."""
    del num_outputs
    y = checks.labels(name, y)
    if y.ndim != 1 or not (y.dtype == bool or jnp.issubdtype(y.dtype, jnp.integer)):
        raise TypeError(
            f"{name} must be class ids 0 and 1 or booleans, [N], got dtype {y.dtype} and shape "
            f"{y.shape}; for ids stored as floats write {name}.astype(int)"
        )
    checks.count(name, y, num_examples)
    if not checks.is_traced(y) and y.size and not set(np.unique(y).tolist()) <= {0, 1}:
        raise ValueError(
            f"{name} must be class ids 0 and 1, got values from {y.min()} to {y.max()}; for labels "
            f"-1 and +1 write ({name} + 1) // 2"
        )
    return checks.numbers(2 * y[:, None].astype(jnp.int8) - 1)


def _as_two_logits(
    evaluation: Evaluation, candidates: RankOne | RankC
) -> tuple[Evaluation, RankOne | RankC]:
    """Replaces one logit f by the two logits h; one gain fits both, because h is affine in f."""
    gain, variance = candidates.gain, candidates.variance
    if isinstance(candidates, RankC):
        gain, variance = gain[..., 0, 0], variance[..., 0, 0]
    offset = None
    if evaluation.offset is not None:
        half = evaluation.offset / 2
        offset = jnp.concatenate([-half, half], -1)
    of_points = evaluation.variance
    if of_points is not None:
        of_points = (of_points if of_points.ndim == 1 else of_points[:, 0, 0]) / 4
    return (
        dataclasses.replace(
            evaluation, mean=two_logits(evaluation.mean), offset=offset, variance=of_points
        ),
        RankOne(gain, two_logits(candidates.mean), two_logits(candidates.logits), variance / 4),
    )


def _numbers(name: str, y: ArrayLike, num_examples: int, num_outputs: int) -> Array:
    """Checks real-valued targets ``[N, C]``; for C = 1, they may also be ``[N]``."""
    y = checks.labels(name, y)
    if not jnp.issubdtype(y.dtype, jnp.number) or jnp.issubdtype(y.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must hold real numbers for task='regression', got {y.dtype}")
    if y.ndim == 1 and num_outputs == 1:
        y = y[:, None]
    if y.shape != (num_examples, num_outputs):
        raise ValueError(
            f"{name} must have shape {(num_examples, num_outputs)} for task='regression', one "
            f"column for each output of the network, got {y.shape}; class ids belong to "
            "task='classification'"
        )
    checks.finite(name, y)
    return checks.numbers(y)


def _from_their_mean(targets: Array) -> Array:
    """The mean distance of the targets from their mean, the best prediction that ignores x."""
    xp = jnp if checks.is_traced(targets) else np  # nothing is compiled for the number of labels
    return xp.linalg.norm(targets - targets.mean(0, keepdims=True), axis=1).mean()


def _unchanged(
    evaluation: Evaluation, candidates: RankOne | RankC
) -> tuple[Evaluation, RankOne | RankC]:
    return evaluation, candidates


TASKS: dict[str, Task] = {
    "classification": Task(
        check=checks.one_output_a_class,
        targets=checks.class_targets,
        distance=lambda targets: 1.0,
        pseudo_label=lambda f, mean: jax.nn.one_hot(f.argmax(), len(f), dtype=mean.dtype),
        criteria=CRITERIA,
        view=_unchanged,
        class_outputs=lambda outputs: outputs,
    ),
    "binary": Task(
        check=_one_logit,
        targets=_signs,
        distance=lambda targets: 1.0,
        pseudo_label=lambda f, mean: jnp.where(f > 0, 1, -1).astype(mean.dtype),
        criteria=CRITERIA,
        view=_as_two_logits,
        class_outputs=two_logits,
    ),
    "regression": Task(
        check=lambda num_outputs: None,
        targets=_numbers,
        distance=_from_their_mean,
        pseudo_label=lambda f, mean: mean,
        criteria=REGRESSION_CRITERIA,
        view=_unchanged,
        class_outputs=None,
    ),
}
"""All tasks by name."""
