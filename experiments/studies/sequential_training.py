"""Measures Theorem 3.1: does it matter whether a candidate is learned last or along with the rest?

    python -m experiments.studies.sequential_training --workdir=DIR

According to the theorem, an infinitely wide network that was trained to convergence on L and then
on L ∪ {x'} computes the same function as one that was trained on L ∪ {x'} from the start, if both
start from the same weights, the loss is the squared loss and training is gradient flow.

**At infinite width**, the function follows kernel gradient flow. Here it starts from a draw of the
outputs over random weights. The two-phase side follows the flow for a finite time twice, by
eigenvectors of the kernel. The other side is one linear solve. The gap between them is that of the
arithmetic if the second phase is long, however long the first one was. If the second phase is
short, the gap is that of training which has not converged.

**At finite width**, networks are really trained by gradient descent, and the gap is that of the
width. Both sides are close to the one linearized network that learns L ∪ {x'} (Eq. 9), so the gap
is at most of the order 1/√width.

Gaps are Frobenius norms over all test points and logits: ‖f_seq − f_scratch‖ is divided by what
training changed, ‖f_scratch − f_0‖ (``gap``), and by what the candidate changed, ‖f_seq − f_L‖
(``gap_of_change``), with f_L the network after the first phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import scipy.linalg  # type: ignore[import-untyped, unused-ignore]

from . import descent, networks, results
from .problem import Problem, draw_problem
from .settings import Settings

FIRST_TIMES = (0.0, 0.1, 1.0, 40.0)
SECOND_TIMES = (0.1, 1.0, 10.0, 40.0)
"""Lengths of the two phases at infinite width, in units of 1 / λ of the smallest eigenvalue λ of
Θ(L ∪ {x'}, L ∪ {x'}): after a time of 40 the slowest part is down to e⁻⁴⁰."""


def flow(f: np.ndarray, theta: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
    """Follows kernel gradient flow, df/dt = Θ(·, X) (Y − f(X)), for some time.

    Args:
      f: the outputs at all points, of which the first N are the training points X, ``[M, C]``.
      theta: the kernel of all points, ``[M, M]``.
      y: the targets, ``[N, C]``.
      time: how long.

    Returns:
      The outputs at all points afterwards, ``[M, C]``.
    """
    num = len(y)
    eigenvalues, vectors = np.linalg.eigh(theta[:num, :num])
    learned = -np.expm1(-eigenvalues * time) / eigenvalues
    return f + theta[:, :num] @ (vectors @ (learned[:, None] * (vectors.T @ (y - f[:num]))))


def converged(f: np.ndarray, theta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Computes where ``flow`` ends, by one solve; the arguments are those of ``flow``."""
    num = len(y)
    coefficients = scipy.linalg.solve(theta[:num, :num], y - f[:num], assume_a="pos")
    return f + theta[:, :num] @ coefficients


def infinite_row(seed: int, settings: Settings) -> dict[str, Any]:
    """Measures the gap at infinite width for several lengths of both phases.

    Returns:
      Under ``flow``, the ``gap`` for each length of the ``first`` and the ``second`` phase, and as
      ``gap`` that of the two longest ones.
    """
    problem, key = _problem(seed, settings)
    num = len(problem.x)
    nngp, theta = networks.infinite_kernels(np.concatenate([problem.x, problem.x_test]), settings)
    draws = np.asarray(jax.random.normal(key, (len(theta), problem.y.shape[1])), np.float64)
    start = np.linalg.cholesky(nngp) @ draws
    y = problem.y.astype(np.float64)
    scratch = converged(start, theta, y)[num:]
    unit = 1 / np.linalg.eigvalsh(theta[:num, :num])[0]
    found = []
    for first in FIRST_TIMES:
        halfway = flow(start, theta, y[:-1], first * unit)
        for second in SECOND_TIMES:
            sequential = flow(halfway, theta, y, second * unit)[num:]
            gap = _ratio(sequential - scratch, scratch - start[num:])
            found.append({"first": first, "second": second, "gap": gap})
    return {"gap": found[-1]["gap"], "flow": found}


def finite_row(width: int, seed: int, settings: Settings) -> dict[str, Any]:
    """Measures the gaps of a network of finite width.

    Returns:
      ``gap`` and ``gap_of_change``; the training residual at the end of each of the three
      trainings, as a share of that at initialization; and their numbers of steps.
    """
    problem, key = _problem(seed, settings)
    x, y = problem.x, problem.y
    initial = networks.initialize(
        jax.random.fold_in(key, width), width, x.shape[1], y.shape[1], settings
    )
    rate = descent.learning_rate(initial, x, settings)
    trained = {"first": descent.train(initial, x[:-1], y[:-1], settings, rate=rate)}
    trained["sequential"] = descent.train(
        trained["first"].params, x, y, settings, rate=rate, initial=initial
    )
    trained["scratch"] = descent.train(initial, x, y, settings, rate=rate)
    before, first, sequential, scratch = (
        np.asarray(networks.outputs(params, problem.x_test, activation=settings.activation))
        for params in (initial, *(end.params for end in trained.values()))
    )
    return {
        "gap": _ratio(sequential - scratch, scratch - before),
        "gap_of_change": _ratio(sequential - scratch, sequential - first),
        **{f"residual_{name}": end.residual for name, end in trained.items()},
        **{f"steps_{name}": end.steps for name, end in trained.items()},
    }


def _row(width: int | None, seed: int, settings: Settings) -> dict[str, Any]:
    return infinite_row(seed, settings) if width is None else finite_row(width, seed, settings)


STUDY = results.Study("sequential_training", ("gap", "gap_of_change"), _row, infinite=True)


def measure(
    widths: Sequence[int], seeds: Sequence[int], settings: Settings | None = None
) -> dict[str, Any]:
    """Measures the gaps for all widths and seeds, and at infinite width.

    Args:
      widths: the widths of the networks.
      seeds: the seeds, each with its own labeled points, candidate, test points and weights.
      settings: all other settings.

    Returns:
      ``definition``, the settings; ``slopes`` of ``gap`` and ``gap_of_change`` over the widths, see
      ``scaling.slope``; and ``rows``, each with its ``width``, ``None`` for infinite, its ``seed``,
      and what ``infinite_row`` or ``finite_row`` measures.

    Raises:
      DivergedError: if a training does not converge.
      MissingExtraError: if neural-tangents is not installed.
    """
    return results.measure(STUDY, widths, seeds, settings or Settings())


def _problem(seed: int, settings: Settings) -> tuple[Problem, jax.Array]:
    data_key, key = jax.random.split(jax.random.key(seed))
    return draw_problem(data_key, settings), key


def _ratio(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a) / np.linalg.norm(b))


if __name__ == "__main__":
    results.main(STUDY)
