"""Views: cheap re-layouts of a parameter, in which every entry of it appears at most once.

An inner product of two gradients does not change when the entries of the parameter change places.
A view can therefore stand for the parameter itself.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ntk_al._programs.primitives import shaped

Move = Callable[[np.ndarray, dict[str, Any], tuple[int, ...]], np.ndarray]
"""Moves entries as a primitive does, given its parameters and the shape of its result."""


def _reshape(entries: np.ndarray, params: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    del params
    return entries.reshape(shape)


def _transpose(entries: np.ndarray, params: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    del shape
    return entries.transpose(params["permutation"])


def _slice(entries: np.ndarray, params: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    del shape
    steps = params["strides"] or (1,) * entries.ndim
    spans = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return entries[tuple(slice(*span) for span in spans)]


def _reverse(entries: np.ndarray, params: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    del shape
    return np.flip(entries, params["dimensions"])


VIEWS: dict[str, Move] = {
    "broadcast_in_dim": _reshape,  # a view only if it adds axes of size one
    "convert_element_type": _reshape,
    "copy": _reshape,
    "copy_p": _reshape,
    "expand_dims": _reshape,
    "reshape": _reshape,
    "rev": _reverse,
    "slice": _slice,
    "squeeze": _reshape,
    "transpose": _transpose,
}
"""How each primitive moves the entries of its operand."""


def is_view(equation: core.JaxprEqn) -> bool:
    """Returns whether an equation only moves entries of one real array."""
    name = equation.primitive.name
    if name not in VIEWS or len(equation.invars) != 1:
        return False
    before, after = shaped(equation.invars[0]), shaped(equation.outvars[0])
    if not jnp.issubdtype(after.dtype, jnp.floating):
        return False
    return name == "slice" or math.prod(before.shape) == math.prod(after.shape)


@dataclasses.dataclass(frozen=True)
class View:
    """A view of one parameter, which is the result of a chain of equations.

    Attributes:
      parameter: the number of the parameter.
      shape: the shape of the parameter.
      chain: the equations that lead from the parameter to the view.
    """

    parameter: int
    shape: tuple[int, ...]
    chain: tuple[core.JaxprEqn, ...] = ()

    def then(self, equation: core.JaxprEqn) -> View:
        """Returns the view that an equation makes of this one."""
        return dataclasses.replace(self, chain=(*self.chain, equation))

    @functools.cached_property
    def entries(self) -> np.ndarray:
        """The place in the parameter from which each entry of the view comes."""
        entries = np.arange(math.prod(self.shape)).reshape(self.shape)
        for equation in self.chain:
            move = VIEWS[equation.primitive.name]
            entries = move(entries, equation.params, shaped(equation.outvars[0]).shape)
        return entries
