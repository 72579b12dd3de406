"""Look-ahead scores: how the network would change if each candidate were labeled.

Labeling x_j as y moves the outputs of the retrained linearized network by a rank-one step (Eq. 11
and 12 of the paper; ``posterior`` explains a correction to Eq. 12):

    mean⁺(x) = mean(x) + w(x, j) e_j,   w(x, j) = S(x, x_j) / (S_jj + λ),   e_j = y − mean(x_j)

A criterion (``criteria``) turns the step of one candidate into a number.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jax.sharding import Mesh

from ntk_al._utils import checks, sharding
from ntk_al.lookahead import probabilities, soundness
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.from_kernel import scored
from ntk_al.lookahead.from_posterior import score_points
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.problem import check_inputs
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network, Predictive
from ntk_al.network.predictive import SOFTMAX
from ntk_al.types import Array, ArrayLike, PyTree


def score(
    network: Network,
    x_labeled: PyTree,
    y_labeled: ArrayLike,
    x_pool: PyTree,
    *,
    criterion: str = ScoreOptions.criterion,
    readout: str = ScoreOptions.readout,
    reference: str = ScoreOptions.reference,
    ridge: float | str = ScoreOptions.ridge,
    x_eval: PyTree | None = None,
    precision: str = ScoreOptions.precision,
    memory_budget: int | None = ScoreOptions.memory_budget,
    mesh: Mesh | None = ScoreOptions.mesh,
    task: str = ScoreOptions.task,
    predictive: str | Predictive = ScoreOptions.predictive,
    approximation: str = ScoreOptions.approximation,
    rank: int | None = ScoreOptions.rank,
    tolerance: float = ScoreOptions.tolerance,
    solver: str = ScoreOptions.solver,
    solver_tolerance: float = ScoreOptions.solver_tolerance,
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
        ``"leave_one_out"`` lets the labels choose it, which suits noisy ones, see ``ScoreOptions``.
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
      approximation: ``"none"`` computes the kernel of all pairs of candidates and evaluation
        points. ``"landmarks"`` computes the columns of some evaluation points, which costs time and
        memory in proportion to U, and estimates what they miss. ``"auto"`` takes landmarks where
        they need at most half of the kernel.
      rank: the number of landmarks; ``None`` takes as many as ``tolerance`` asks for.
      tolerance: landmarks are added until the scores of all and of half of them have a rank
        correlation of at least 1 − tolerance.
      solver: how the labeled set is conditioned on: ``"cholesky"``, or ``"cg"`` for labeled sets
        whose kernel ``[L, L]`` does not fit into memory, see ``ScoreOptions``.
      solver_tolerance: the relative residual at which conjugate gradients stop.

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
        criterion=criterion,
        readout=readout,
        reference=reference,
        ridge=ridge,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
        task=task,
        predictive=predictive,
        approximation=approximation,
        rank=rank,
        tolerance=tolerance,
        solver=solver,
        solver_tolerance=solver_tolerance,
    )
    if sharding.automatic(mesh) and checks.is_traced(network, x_labeled, x_pool, x_eval):
        raise TypeError(
            "mesh= divides the work on the host, so score cannot be jitted with several devices: "
            "leave jit out, or mesh="
        )
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task=task)
    if reference == "network":
        soundness.warn_of_large_residual(problem)
    scores = scored(problem, options).scores
    soundness.check_scores(scores)
    return scores


def score_posterior(
    belief: Belief,
    *,
    criterion: str = ScoreOptions.criterion,
    reference: str = ScoreOptions.reference,
    num_candidates: int | None = None,
    task: str = ScoreOptions.task,
    predictive: str | Predictive | None = None,
    rows: ArrayLike | None = None,
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
      rows: the candidates to score, ``[n]``; ``None`` means all. Only with landmarks does this save
        time, where the number of rows should vary little, because each compiles anew.

    Returns:
      Scores of the candidates, ``[Q]``, ``[num_candidates]`` or ``[n]``, higher = query first. They
      are never NaN.

    Raises:
      ValueError: if a name is unknown, the outputs do not fit the task, ``num_candidates`` leaves
        no evaluation point, ``rows`` are not those of candidates, the criterion needs
        probabilities and none are given, or no candidate can be scored.

    Examples:
      >>> import numpy as np
      >>> from ntk_al import posterior
      >>> from ntk_al.types import GramBlocks
      >>> theta = GramBlocks.square(np.eye(1), np.zeros((1, 2)), np.eye(2))
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
    if rows is not None:
        rows = np.asarray(rows)
        num = num_query if num_candidates is None else num_candidates
        are_numbers = rows.ndim == 1 and rows.size and np.issubdtype(rows.dtype, np.integer)
        if not (are_numbers and rows.min() >= 0 and rows.max() < num):
            raise ValueError(
                f"rows must be whole numbers in 0..{num - 1}, [n], got dtype {rows.dtype} and "
                f"shape {rows.shape}"
            )
    scores = score_points(belief, options, num_query, num_candidates, rows)
    soundness.check_scores(scores)
    return scores
