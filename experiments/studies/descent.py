"""Training of wide networks to convergence by gradient descent.

The loss is half the sum of squares, ½‖f(X) − Y‖², the batch is full, and there is neither momentum
nor weight decay nor augmentation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.training import DivergedError
from ntk_al.types import Array

from .networks import Params, apply
from .settings import Settings

MAX_STEPS = 500_000
"""Training that needs more steps has failed."""

_POWER_ITERATIONS = 30  # enough for a learning rate


@dataclasses.dataclass(frozen=True)
class Trained:
    """The end of a training.

    Attributes:
      params: the weights; of a linearized network, their change.
      residual: ‖f(X) − Y‖ as a share of what it was at initialization.
      steps: the number of steps.
    """

    params: Params
    residual: float
    steps: int


def train(
    start: Params,
    x: np.ndarray,
    y: np.ndarray,
    settings: Settings,
    *,
    rate: float,
    initial: Params | None = None,
) -> Trained:
    """Trains a network by gradient descent until it has converged.

    Args:
      start: the weights at which training starts.
      x: inputs, ``[L, D]``.
      y: targets, ``[L, C]``.
      settings: say when training has converged.
      rate: the learning rate, which stays the same.
      initial: the weights at initialization, of which the tolerance is a share; ``start`` by
        default.

    Raises:
      DivergedError: if training does not converge.
    """
    initial = start if initial is None else initial
    tolerance, activation = settings.tolerance, settings.activation
    found = _train(start, initial, x, y, rate, tolerance, activation=activation)
    return _checked(tolerance, *found)


def train_linearized(
    initial: Params, x: np.ndarray, y: np.ndarray, settings: Settings, *, rate: float
) -> Trained:
    """Trains the network linearized at ``initial``; the arguments are those of ``train``."""
    tolerance, activation = settings.tolerance, settings.activation
    found = _train_linearized(initial, x, y, rate, tolerance, activation=activation)
    return _checked(tolerance, *found)


def learning_rate(params: Params, x: np.ndarray, settings: Settings) -> float:
    """Returns 1 / λ of the largest eigenvalue λ of the tangent kernel of all logits.

    Gradient descent on the linearized network is stable up to 2 / λ.
    """
    return 1 / float(_largest_eigenvalue(params, x, activation=settings.activation))


@functools.partial(jax.jit, static_argnames="activation")
def _train(
    start: Params,
    initial: Params,
    x: Array,
    y: Array,
    rate: float,
    tolerance: float,
    *,
    activation: str,
) -> tuple[Params, Array, Array]:
    scale = jnp.linalg.norm(apply(initial, x, activation) - y)
    return _descend(lambda p: apply(p, x, activation), start, y, rate, scale, tolerance)


@functools.partial(jax.jit, static_argnames="activation")
def _train_linearized(
    initial: Params, x: Array, y: Array, rate: float, tolerance: float, *, activation: str
) -> tuple[Params, Array, Array]:
    value, push = jax.linearize(lambda p: apply(p, x, activation), initial)
    change, scale = jax.tree.map(jnp.zeros_like, initial), jnp.linalg.norm(value - y)
    return _descend(lambda c: value + push(c), change, y, rate, scale, tolerance)


def _descend(
    function: Callable[[Params], Array],
    params: Params,
    y: Array,
    rate: float,
    scale: Array,
    tolerance: float,
) -> tuple[Params, Array, Array]:
    """Takes steps until ‖function(params) − y‖ / scale is at most the tolerance.

    Returns:
      The parameters, that ratio, and the number of steps.
    """

    def unfinished(state: tuple[Params, Array, Array]) -> Array:
        _, residual, steps = state
        return (residual > tolerance * scale) & (steps < MAX_STEPS)

    def step(state: tuple[Params, Array, Array]) -> tuple[Params, Array, Array]:
        params, _, steps = state
        value, pull = jax.vjp(function, params)
        (gradient,) = pull(value - y)
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
        # The norm is that before the step: that after it would take another forward pass.
        return params, jnp.linalg.norm(value - y), steps + 1

    start = (params, jnp.linalg.norm(function(params) - y), jnp.int32(0))
    params, _, steps = jax.lax.while_loop(unfinished, step, start)
    return params, jnp.linalg.norm(function(params) - y) / scale, steps


@functools.partial(jax.jit, static_argnames="activation")
def _largest_eigenvalue(params: Params, x: Array, *, activation: str) -> Array:
    value, push = jax.linearize(lambda p: apply(p, x, activation), params)
    pull = jax.linear_transpose(push, params)

    def iterate(_: int, vector: Array) -> Array:
        return push(*pull(vector / jnp.linalg.norm(vector)))

    vector = jax.lax.fori_loop(0, _POWER_ITERATIONS, iterate, jnp.ones_like(value))
    return jnp.linalg.norm(vector)


def _checked(tolerance: float, params: Params, residual: Array, steps: Array) -> Trained:
    trained = Trained(params, float(residual), int(steps))
    if not (trained.residual <= tolerance and trained.steps < MAX_STEPS):
        raise DivergedError(
            f"after {trained.steps} steps the training residual is {trained.residual:.3g} of what "
            f"it was at initialization, but should be {tolerance:g}. Take a larger width or "
            "tolerance, or fewer labels."
        )
    return trained
