"""The predictive distribution p(y | x) of a look-ahead, which some criteria weigh by."""

from __future__ import annotations

import dataclasses

from ntk_al._utils import checks
from ntk_al.lookahead.criteria import Criterion
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.problem import Problem, check_inputs
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network
from ntk_al.network.calibration import calibrated
from ntk_al.network.predictive import PREDICTIVES, SIMPLEX, SOFTMAX, Predictive
from ntk_al.types import ArrayLike, PyTree


def predictive(
    network: Network,
    x_labeled: PyTree,
    y_labeled: ArrayLike,
    x_pool: PyTree,
    *,
    x_eval: PyTree | None = None,
    kind: str = "calibrated",
    task: str = "classification",
) -> Predictive:
    """Returns the predictive distribution that ``score`` uses for the same arguments.

    Args:
      network: see ``score``.
      x_labeled: see ``score``.
      y_labeled: see ``score``.
      x_pool: see ``score``.
      x_eval: see ``score``. The outputs at these points, or else at the candidates, calibrate.
      kind: a key of ``PREDICTIVES``.
      task: see ``score``; a regression has no classes.

    Returns:
      A function of outputs, with ``probabilities`` and ``entropy``; for ``task="binary"``, of the
      two logits that ``score`` makes of one.

    Raises:
      ValueError: if a name is unknown, or the task is regression; see also ``score``.
    """
    checks.one_of("kind", kind, PREDICTIVES)
    checks.one_of("task", task, TASKS)
    if TASKS[task].class_outputs is None:
        raise ValueError(f"task={task!r} has no classes, so there are no class probabilities")
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task=task)
    return of_problem(problem, kind, task)


def of_problem(problem: Problem, choice: str | Predictive, task: str) -> Predictive:
    """Returns a predictive distribution that is given as itself or by its name."""
    if choice != "calibrated":
        return of_name(choice)
    of_classes = TASKS[task].class_outputs
    assert of_classes is not None
    targets = problem.targets
    # With evaluation points, a score does not depend on the other candidates.
    unlabeled = problem.pool_logits if problem.eval_logits is None else problem.eval_logits
    return calibrated(
        problem.network,
        problem.x_labeled,
        of_classes(targets),
        of_classes(targets - problem.residual),
        of_classes(unlabeled),
    )


def of_name(choice: str | Predictive) -> Predictive:
    """Returns a predictive distribution that does not depend on the network."""
    if isinstance(choice, Predictive):
        return choice
    return {"simplex": SIMPLEX, "softmax": SOFTMAX}[choice]


def needed(criterion: str, task: str) -> bool:
    """Returns whether the criterion depends on p(y | x)."""
    rule = TASKS[task].criteria[criterion]
    return isinstance(rule, Criterion) and rule.expected


def resolved(options: ScoreOptions, problem: Problem) -> ScoreOptions:
    """Returns options whose ``predictive`` is a distribution; SOFTMAX if nothing depends on it."""
    used = SOFTMAX
    if needed(options.criterion, options.task):
        used = of_problem(problem, options.predictive, options.task)
    return dataclasses.replace(options, predictive=used)
