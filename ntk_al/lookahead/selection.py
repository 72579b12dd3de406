"""Selection: which candidates to label next, all at once or one after another."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from ntk_al._utils import checks, examples, float64, memory
from ntk_al.lookahead import ridges
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.factorization import Conditioned
from ntk_al.lookahead.from_kernel import (
    condition,
    kernel_blocks,
    padded_posterior,
    scored,
    takes_landmarks,
)
from ntk_al.lookahead.from_posterior import score_belief
from ntk_al.lookahead.greedy import among_all, greedy, shortlist, significant
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.lookahead.options import ALL_LOGITS, BATCH_MODES, ScoreOptions
from ntk_al.lookahead.probabilities import resolved
from ntk_al.lookahead.problem import Problem, check_inputs
from ntk_al.lookahead.soundness import check_scores, warn_of_large_residual
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network, Predictive
from ntk_al.types import Array, ArrayLike, PyTree

_PAIR_BYTES = 28  # of a pair of query points: Θ and S in float32 and in float64; 26 were measured


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """How a selection came about.

    Attributes:
      ridge: the ridge that was used: the requested or the fitted one, or a larger one if the kernel
        of the labeled set was not positive definite.
      is_ridge_fitted: whether the labels chose it, ``ridge="leave_one_out"``.
      condition_number: an estimate of the condition number of that kernel with its ridge: from
        below by ``solver="cholesky"``, and its largest eigenvalue over λ by ``"cg"``.
      plan: how the kernel was computed, in words; ``None`` for ``"all_logits"``.
      seconds: how long the selection took, compilation included.
      landmarks: how many landmarks were used; ``None`` if the kernel was computed as a whole.
      trace_left: the share of the posterior variance that the landmarks do not explain.
      agreement: the rank correlation of the scores with those of half the landmarks; ``None`` if
        the rank was given.
    """

    ridge: float
    is_ridge_fitted: bool
    condition_number: float
    plan: str | None
    seconds: float
    landmarks: int | None = None
    trace_left: float | None = None
    agreement: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """The candidates to label next.

    Attributes:
      rows: their rows in ``x_pool``, best first, ``[k]``.
      scores: the scores of all candidates before the first choice, ``[U]``, higher is better.
      diagnostics: how the selection came about.
    """

    rows: np.ndarray
    scores: np.ndarray = dataclasses.field(repr=False)
    diagnostics: Diagnostics


def select(
    network: Network,
    x_labeled: PyTree,
    y_labeled: ArrayLike,
    x_pool: PyTree,
    k: int,
    *,
    batch_mode: str = "greedy",
    key: Array | None = None,
    criterion: str = ScoreOptions.criterion,
    readout: str = ScoreOptions.readout,
    reference: str = ScoreOptions.reference,
    ridge: float | str = ridges.RECOMMENDED,
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
) -> Selection:
    """Chooses k candidates to label next.

    ``batch_mode="greedy"`` chooses one candidate at a time. Before the next choice, the posterior
    observes the label that the network itself would give the last one: the most likely class, or in
    a regression the mean, which leaves the outputs as they are and lowers the variance. The
    network's outputs move with it, as if it had been trained on that label, and from the second
    choice on, changes are measured from the outputs after the choices so far. Near copies of a
    choice are then hardly worth a label, except under ``"eer"``, which also gains by making sure.
    ``batch_mode="top_k"`` takes the k highest scores.

    Args:
      network: see ``score``.
      x_labeled: see ``score``.
      y_labeled: see ``score``.
      x_pool: candidates, ``[U, ...]``.
      k: how many to choose, at most U.
      batch_mode: how scores become a batch, ``"greedy"`` or ``"top_k"``.
      key: PRNG key that breaks ties; ``None`` means that the lower row wins. Scores that agree to
        six digits are ties.
      criterion: see ``score``.
      readout: see ``score``.
      reference: see ``score``.
      ridge: see ``score``, whose default is the paper's. With this one, batches bought more
        accuracy on every dataset that was tried; with hardly any, they can be worse than random
        ones where classes overlap.
      x_eval: points at which outputs are compared, ``[E, ...]``; ``None`` means the candidates.
      precision: see ``score``.
      memory_budget: see ``score``. A greedy batch needs the kernel of all candidates and evaluation
        points with each other.
      mesh: see ``score``.
      task: see ``score``.
      predictive: see ``score``.
      approximation: see ``score``. With landmarks, a greedy batch needs no kernel of all candidates
        with each other.
      rank: see ``score``.
      tolerance: see ``score``.
      solver: see ``score``.
      solver_tolerance: see ``score``.

    Returns:
      The rows of the chosen candidates, the scores of all candidates, and diagnostics.

    Raises:
      TypeError: if an argument has the wrong type, or under ``jax.jit``.
      ValueError: if k is not in 1..U, fewer than k candidates can be scored, or the kernel of a
        greedy batch does not fit into memory; see also ``score``.

    Warns:
      UserWarning: see ``score``.
    """
    start = time.perf_counter()
    if checks.is_traced(network, x_labeled, y_labeled, x_pool, x_eval, key):
        raise TypeError("select chooses on the host, so it cannot be jitted; jit lookahead.score")
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
    checks.one_of("batch_mode", batch_mode, BATCH_MODES)
    if key is not None:
        checks.key("key", key)
    examples.check_structure("x_pool", x_pool)
    num_pool = examples.count(x_pool)
    _check_number(k, num_pool)
    problem = check_inputs(network, x_labeled, y_labeled, x_pool, x_eval, task=task)
    if reference == "network":
        warn_of_large_residual(problem)
    options = resolved(options, problem)
    choose = _greedy if batch_mode == "greedy" else _top_k
    plans: list[str] = []
    rows, scores, fitted = choose(problem, options, k, _tie_breaks(key, num_pool), plans.append)
    diagnostics = Diagnostics(
        ridge=float(fitted.ridge),
        is_ridge_fitted=isinstance(options.ridge, str),  # it may also be an array
        condition_number=float(fitted.condition_number),
        plan=plans[-1] if plans else None,
        seconds=time.perf_counter() - start,
        **(fitted.facts() if isinstance(fitted, LandmarkPosterior) else {}),
    )
    return Selection(rows, scores, diagnostics)


def _top_k(
    problem: Problem,
    options: ScoreOptions,
    k: int,
    tie_breaks: np.ndarray,
    on_plan: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray, Conditioned | Belief]:
    on_device, factor = scored(problem, options, on_plan)
    scores = np.asarray(on_device)
    check_scores(scores, k)
    order = np.lexsort((-tie_breaks, -significant(scores)))
    return order[:k], scores, factor


def _greedy(
    problem: Problem,
    options: ScoreOptions,
    k: int,
    tie_breaks: np.ndarray,
    on_plan: Callable[[str], None],
) -> tuple[np.ndarray, np.ndarray, Belief]:
    if not takes_landmarks(problem, options):
        _check_memory(problem, options)
    belief = start = _belief(problem, options, on_plan)
    first = np.asarray(score_belief(start, problem, options))
    rows = shortlist(first, k) if isinstance(start, LandmarkPosterior) else None
    # Measured from f, the total change by all choices would reward candidates that undo none of it,
    # copies of the choices above all.
    marginal = dataclasses.replace(options, reference="linearized")

    def values(allowed: np.ndarray) -> np.ndarray:
        scores = first
        if belief is not start:
            found = np.asarray(score_belief(belief, problem, marginal, rows))
            scores = among_all(found, rows, len(first))
        check_scores(scores[allowed], 1)
        return significant(scores)

    def add(row: int) -> None:
        nonlocal belief
        with float64.widest(belief):
            label = TASKS[options.task].pseudo_label(belief.logits[row], belief.mean[row])
            belief = belief.observe(row, label, move_network=True)

    available = np.ones(len(first), bool)
    chosen = greedy(k, values, add, available=available, tie_breaks=tie_breaks)
    return chosen, first, start


def _belief(problem: Problem, options: ScoreOptions, on_plan: Callable[[str], None]) -> Belief:
    """Computes the posterior; it is padded where nothing then has to be compiled for its size."""
    if options.readout == ALL_LOGITS or takes_landmarks(problem, options):
        return condition(problem, options)
    theta = kernel_blocks(problem.with_one_set(), options, on_plan)
    if problem.x_eval is None:
        return padded_posterior(problem, options, theta)
    return condition(problem.with_one_set(), options, theta)


def _tie_breaks(key: Array | None, num: int) -> np.ndarray:
    """Numbers of which the largest wins a tie, ``[U]``."""
    if key is None:
        return -np.arange(num)
    return np.asarray(jax.random.permutation(key, num))


def _check_number(k: int, num_candidates: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k must be an integer, got {k!r}")
    if not 1 <= k <= num_candidates:
        raise ValueError(f"k must be in 1..{num_candidates}, the number of candidates, got {k}")


def _check_memory(problem: Problem, options: ScoreOptions) -> None:
    """Raises ValueError if the posterior of a greedy batch does not fit into memory."""
    num_outputs = problem.residual.shape[1] if options.readout == ALL_LOGITS else 1
    num_eval = 0 if problem.x_eval is None else examples.count(problem.x_eval)
    needed = _PAIR_BYTES * ((problem.num_pool + num_eval) * num_outputs) ** 2
    available = memory.free() if options.memory_budget is None else options.memory_budget
    if needed <= available:
        return
    fitting = math.isqrt(int(available) // _PAIR_BYTES) // num_outputs
    raise ValueError(
        f"batch_mode='greedy' needs about {memory.in_words(needed)} for the covariance of "
        f"{problem.num_pool} candidates and {num_eval} separate evaluation points, but may use "
        f"only {memory.in_words(available)}, enough for about {fitting} points in all. Pass fewer "
        "candidates, such as a random subset of the pool or those of highest score; x_eval= may "
        "hold other points of the pool. Or use batch_mode='top_k', which needs no such covariance "
        "if x_eval= holds a few hundred points"
    )
