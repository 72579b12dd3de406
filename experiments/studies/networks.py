"""Wide networks as the theory has them, finite and infinite.

The networks are fully connected and without biases, in the NTK parameterization: a layer maps h to
φ(h) W · g / √fan-in, where all entries of W start as independent N(0, 1) and are trained as they
are. The gain g keeps the mean square of the units at 1. The tangent kernel of such a network has a
limit as the width grows, so one learning rate suits all widths.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import jax
import numpy as np

from ntk_al._utils import compat
from ntk_al.kernels.infinite import neural_tangents_compat
from ntk_al.types import Array, ArrayLike

from .activations import ACTIVATIONS
from .settings import Settings

Params = list[Array]
"""The matrix of each layer, ``[fan_in, fan_out]``."""


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
