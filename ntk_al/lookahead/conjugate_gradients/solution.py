"""Systems with A = Θ(L, L) + λI, solved by preconditioned conjugate gradients.

All right-hand sides are iterated together, because a product with Θ(L, L) costs the kernel once, no
matter how many columns it multiplies. (Solvers of libraries take one right-hand side at a time, or
a matrix that exists.) From approximate solutions Z = A⁻¹B + error, the posterior is put together as

    BᵀA⁻¹B ≈ BᵀZ + ZᵀR,    R = B − AZ,

which is off by RᵀA⁻¹R only, the square of what BᵀZ would be off by.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import examples, float64, progress
from ntk_al._utils.products import product
from ntk_al.kernels.empirical.plan import BudgetError
from ntk_al.lookahead import ridges
from ntk_al.lookahead.conjugate_gradients import preconditioner
from ntk_al.lookahead.conjugate_gradients.labeled_kernel import LabeledKernel
from ntk_al.lookahead.conjugate_gradients.preconditioner import Preconditioner
from ntk_al.lookahead.factorization import Points
from ntk_al.lookahead.options import ScoreOptions
from ntk_al.lookahead.problem import Problem
from ntk_al.types import Array, ArrayLike

MOST_ITERATIONS = 1000

_log = logging.getLogger(__name__)


class Solution:
    """The labeled set, on which points are conditioned by iteration; the twin of ``Factor``.

    Args:
      problem: the inputs.
      options: of which ``solver_tolerance`` bounds the residuals ‖B − AZ‖ / ‖B‖.

    Attributes:
      noise: λ.
      ridge: λ divided by the mean of diag Θ(L, L).
      condition_number: a lower estimate of λ_max(A) / λ.
    """

    def __init__(self, problem: Problem, options: ScoreOptions) -> None:
        self._kernel = LabeledKernel(problem, options)
        self._tolerance = options.solver_tolerance
        diagonal = self._kernel.diagonal()
        rows = ridges.drawn(len(problem.residual))
        ridge = options.ridge
        if isinstance(ridge, str):
            ridge = ridges.resolved(
                ridge,
                self._among(rows, ridge),
                problem.targets[rows],
                examples.take(problem.x_labeled, rows),
            )
        ridge = float(ridge)
        noise = ridge * float(diagonal.mean(dtype=np.float64))
        if not noise > 0:
            raise ValueError(
                "solver='cg' needs a positive ridge and a network whose gradients are not all "
                f"zero, got ridge={ridge:g} and a mean diagonal of the kernel of "
                f"{diagonal.mean():g}"
            )
        with float64.widest(diagonal) as dtype:
            self._residual = float64.here(jnp.asarray(problem.residual, dtype))
            self.noise = float64.here(jnp.asarray(noise, dtype))
            self.ridge = float64.here(jnp.asarray(ridge, dtype))
            self._preconditioner = preconditioner.make(self._kernel, diagonal, noise)
            largest = jnp.square(jnp.linalg.norm(self._preconditioner.factor, 2))
            self.condition_number = 1 + largest / self.noise  # FFᵀ is at most Θ

    def at(self, cross: ArrayLike, logits: ArrayLike) -> Points:
        """Returns the posterior at N points x, without their covariance.

        Args:
          cross: Θ(L, x), ``[L, N]``; further rows are padding.
          logits: f(x), ``[N, C]``.

        Raises:
          ValueError: if the iteration does not converge.
        """
        num_labeled, num_outputs = self._residual.shape
        with float64.widest(cross, logits) as dtype:
            cross = jnp.asarray(float64.here(cross[:num_labeled]), dtype)
            logits = jnp.asarray(float64.here(logits), dtype)
            both = jnp.concatenate([cross, self._residual], 1)
            z, left = self._solve(both)
            whitened = jnp.concatenate([cross, z[:, :-num_outputs]])
            dual = jnp.concatenate([z, left])
            mean: Array = logits + product(whitened.T, dual[:, -num_outputs:])
            return Points(jnp.asarray(logits), mean, whitened, dual[:, :-num_outputs])

    def at_sets(self, crosses: Sequence[ArrayLike], logits: Sequence[ArrayLike]) -> list[Points]:
        """Returns the posterior at the points of several sets, for which it iterates once."""
        ends = np.cumsum([len(of_set) for of_set in logits])
        together = self.at(
            np.concatenate([np.asarray(cross) for cross in crosses], 1),
            np.concatenate([np.asarray(of_set) for of_set in logits]),
        )
        starts = [0, *ends[:-1]]
        return [together.take(slice(*span)) for span in zip(starts, ends, strict=True)]

    def mean(self, cross: ArrayLike, logits: ArrayLike) -> Array:
        """Returns the mean of the posterior at N points, ``[N, C]``; arguments as for ``at``.

        It takes one right-hand side for each output, where ``at`` takes one for each point.
        """
        with float64.widest(cross, logits) as dtype:
            weights, _ = self._solve(self._residual)
            cross = jnp.asarray(float64.here(cross[: len(weights)]), dtype)
            return jnp.asarray(float64.here(logits), dtype) + product(cross.T, weights)

    def _among(self, rows: np.ndarray, ridge: str) -> np.ndarray:
        try:
            return self._kernel.among(rows)
        except BudgetError as error:
            raise BudgetError(
                f"ridge={ridge!r} needs the kernel of {len(rows)} labels in one piece, and "
                f"memory_budget is too small for it: pass a number as ridge. The reason: {error}"
            ) from error

    def _times(self, v: Array) -> Array:
        return self._kernel.times(v) + self.noise * v

    def _solve(self, b: Array) -> tuple[Array, Array]:
        """Returns Z ≈ A⁻¹B and R = B − AZ, ``[L, m]`` each."""
        norms = jnp.linalg.norm(b, axis=0)
        state = _start(self._preconditioner, b)
        needed = _digits(self._tolerance)
        with progress.shown("conjugate gradients", needed) as advance:
            reached = 0
            for iteration in range(MOST_ITERATIONS + 1):
                residuals = _relative(state.left, norms)
                worst = float(jnp.max(residuals))
                for _ in range(reached, min(_digits(worst), needed)):
                    advance()
                    reached += 1
                if worst <= self._tolerance:
                    break
                if not np.isfinite(worst):
                    raise ValueError(self._diagnosis("left a residual that is not finite"))
                if iteration == MOST_ITERATIONS:
                    raise ValueError(
                        self._diagnosis(f"left a residual of {worst:.2g} after {iteration} steps")
                    )
                image = self._times(state.direction)
                active = residuals > self._tolerance
                state, curvature = _step(self._preconditioner, state, image, active)
                if not curvature > 0:
                    raise ValueError(
                        self._diagnosis(
                            f"met a direction of curvature {float(curvature):.2g}, so the kernel "
                            "of the labeled set is not positive definite with this ridge"
                        )
                    )
        left = b - self._times(state.z)
        _log.info(
            "%d labels: %d iterations with %d landmarks, residual %.2g",
            *(len(b), iteration, self._preconditioner.factor.shape[1]),
            float(jnp.max(_relative(left, norms))),
        )
        return state.z, left

    def _diagnosis(self, what: str) -> str:
        num = len(self._residual)
        return (
            f"the conjugate gradients of solver='cg' {what}. Use a larger ridge than "
            f"{float(self.ridge):g}, a larger solver_tolerance than {self._tolerance:g}, or "
            f"solver='cholesky', which takes about {24 * num**2 / 2**30:.2g} GiB for {num} labels"
        )


class _State(NamedTuple):
    """The iterates of all right-hand sides, ``[L, m]`` each, and rᵀP⁻¹r, ``[m]``."""

    z: Array
    left: Array
    direction: Array
    energy: Array


@jax.jit
def _start(p: Preconditioner, b: Array) -> _State:
    direction = p.solve(b)
    return _State(jnp.zeros_like(b), b, direction, (b * direction).sum(0))


@jax.jit
def _step(p: Preconditioner, state: _State, image: Array, active: Array) -> tuple[_State, Array]:
    """One iteration of the active columns; also returns their smallest curvature pᵀAp / pᵀp."""
    z, left, direction, energy = state
    curvature = (direction * image).sum(0)
    length = jnp.where(active, energy / jnp.where(active, curvature, 1), 0)
    z, left = z + length * direction, left - length * image
    solved = p.solve(left)
    after = (left * solved).sum(0)
    turn = jnp.where(active, after / jnp.where(active, energy, 1), 0)
    relative = curvature / jnp.square(direction).sum(0)
    return (
        _State(z, left, solved + turn * direction, after),
        jnp.min(jnp.where(active, relative, jnp.inf)),
    )


def _relative(left: Array, norms: Array) -> Array:
    """The relative residuals ``[m]``; a right-hand side that is zero is solved."""
    return jnp.where(norms > 0, jnp.linalg.norm(left, axis=0) / jnp.where(norms > 0, norms, 1), 0)


def _digits(residual: float) -> int:
    """How far a residual has come, in quarters of a digit, by which the bar advances."""
    return int(-4 * np.log10(max(residual, 1e-300))) if residual < 1 else 0
