"""Wide networks as the theory has them, finite and infinite, and their training on the digits.

The networks are fully connected and without biases, in the NTK parameterization: a layer maps h to
φ(h) W · g / √fan-in, where all entries of W start as independent N(0, 1) and are trained as they
are. The gain g keeps the mean square of the units at 1. The tangent kernel of such a network has a
limit as the width grows, so one learning rate suits all widths.

The loss is half the sum of squares, ½‖f(X) − Y‖², the batch is full, and there is neither momentum
nor weight decay nor augmentation.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import data
from ntk_al._utils import checks, compat
from ntk_al.kernels.infinite import neural_tangents_compat
from ntk_al.training import DivergedError
from ntk_al.types import Array, ArrayLike

Params = list[Array]
"""The matrix of each layer, ``[fan_in, fan_out]``."""

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "relu": (jax.nn.relu, math.sqrt(2)),
    "erf": (jax.lax.erf, math.sqrt(math.pi / (2 * math.asin(2 / 3)))),
}
"""φ, and the gain 1 / √E φ(z)² for z ~ N(0, 1)."""

MAX_STEPS = 500_000
"""Training that needs more steps has failed."""

_POWER_ITERATIONS = 30  # enough for a learning rate


def _setting(default: Any, help: str) -> Any:
    """Makes a field of ``Settings`` from its default and its help text."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a study, apart from its widths and seeds; each is the flag of the same name.

    Raises:
      ValueError: if a number is out of range, or the activation is unknown.
    """

    activation: str = _setting("relu", f"The activation: {' | '.join(ACTIVATIONS)}.")
    depth: int = _setting(2, "The number of hidden layers.")
    num_labeled: int = _setting(40, "L, the number of labeled points without the candidate.")
    num_test: int = _setting(100, "T, the number of test points.")
    tolerance: float = _setting(
        1e-4, "Training ends when ‖f(X) − Y‖ is this share of what it was at initialization."
    )

    def __post_init__(self) -> None:
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.positive("depth", self.depth)
        checks.positive("num_labeled", self.num_labeled)
        checks.positive("num_test", self.num_test)
        checks.positive("tolerance", self.tolerance)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Digits, centered by the mean training image and scaled to a mean square of 1 each.

    Attributes:
      x: the labeled points, and last the candidate x', ``[L + 1, D]``.
      y: their labels, one-hot, ``[L + 1, C]``.
      x_test: ``[T, D]``.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray


def draw_problem(key: Array, settings: Settings) -> Problem:
    """Draws labeled points, a candidate and test points, in float32.

    Args:
      key: PRNG key of the draw.
      settings: says how many.

    Raises:
      ValueError: if there are not as many.
    """
    digits = _digits()
    labeled_key, test_key = jax.random.split(key)
    rows = _draw(labeled_key, "num_labeled", settings.num_labeled + 1, len(digits.x_train))
    test_rows = _draw(test_key, "num_test", settings.num_test, len(digits.x_test))
    mean = digits.x_train.mean(0)
    return Problem(
        _on_sphere(digits.x_train[rows] - mean),
        np.eye(digits.num_classes, dtype=np.float32)[digits.y_train[rows]],
        _on_sphere(digits.x_test[test_rows] - mean),
    )


def initialize(
    key: Array, width: int, num_inputs: int, num_outputs: int, settings: Settings
) -> Params:
    """Draws the weights of a finite network.

    Args:
      key: PRNG key of the weights.
      width: the units of each hidden layer.
      num_inputs: D.
      num_outputs: C.
      settings: says how deep the network is.
    """
    sizes = [num_inputs, *[width] * settings.depth, num_outputs]
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        jax.random.normal(layer_key, shape)
        for layer_key, shape in zip(keys, itertools.pairwise(sizes), strict=True)
    ]


def apply(params: Params, x: Array, activation: str) -> Array:
    """Computes the outputs of a finite network.

    Args:
      params: its weights.
      x: inputs, ``[N, D]``.
      activation: a key of ``ACTIVATIONS``.

    Returns:
      ``[N, C]``.
    """
    function, gain = ACTIVATIONS[activation]
    first, *others = params
    h = x @ first / math.sqrt(len(first))
    for weights in others:
        h = function(h) @ weights * (gain / math.sqrt(len(weights)))
    return h


@functools.partial(jax.jit, static_argnames="activation")
def outputs(params: Params, x: Array, *, activation: str) -> Array:
    """``apply``, compiled."""
    return apply(params, x, activation)


@functools.partial(jax.jit, static_argnames="activation")
def linearized_outputs(params: Params, change: Params, x: Array, *, activation: str) -> Array:
    """Computes the outputs of the network linearized at ``params``, after a change of its weights.

    Args:
      params: the weights at initialization.
      change: what was added to them, of the same shapes.
      x: inputs, ``[N, D]``.
      activation: a key of ``ACTIVATIONS``.

    Returns:
      f(x; params) + ∂f(x; params)/∂params · change, ``[N, C]``.
    """
    value, moved = jax.jvp(lambda p: apply(p, x, activation), (params,), (change,))
    return value + moved


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


def infinite_kernels(x: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Computes the kernels of the networks in the limit of infinite width, in float64.

    Args:
      x: inputs, ``[N, D]``.
      settings: say which network.

    Returns:
      The covariance of one output over random weights (NNGP) and the tangent kernel of one output,
      ``[N, N]`` each. Different outputs are independent, and their tangent kernels are the same.

    Raises:
      MissingExtraError: if neural-tangents is not installed.
    """
    with compat.enable_x64(True):
        nngp, ntk = _infinite(settings.activation, settings.depth)(np.asarray(x, np.float64))
        return np.asarray(nngp), np.asarray(ntk)


@functools.cache
def _infinite(activation: str, depth: int) -> Callable[[ArrayLike], tuple[Array, Array]]:
    """Makes the function from inputs to the two kernels of infinite width."""
    stax = neural_tangents_compat.load().stax
    layer = {"relu": stax.Relu, "erf": stax.Erf}[activation]
    _, gain = ACTIVATIONS[activation]
    layers = [stax.Dense(1, W_std=1.0)]
    for _ in range(depth):
        layers += [layer(), stax.Dense(1, W_std=gain)]
    *_, kernel_function = stax.serial(*layers)

    def kernels(x: Array) -> tuple[Array, Array]:
        found = kernel_function(x, None, ("nngp", "ntk"))
        return found.nngp, found.ntk

    return jax.jit(kernels)


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


@functools.cache
def _digits() -> Any:
    return data.load("digits")


def _draw(key: Array, name: str, num: int, available: int) -> np.ndarray:
    if num > available:
        raise ValueError(f"{name} asks for {num} digits, but there are only {available}")
    return np.asarray(jax.random.permutation(key, available))[:num]


def _on_sphere(images: np.ndarray) -> np.ndarray:
    x = images.reshape(len(images), -1)
    return x / np.sqrt((x**2).mean(1, keepdims=True))
