"""The last features of a network: the inputs of the linear layer that returns the logits.

They are read off the network's program, so this works for every library and the model needs no
special code.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.extend import core

from ntk_al._programs.flatten import inline
from ntk_al._programs.primitives import DOT, environment, run, shaped
from ntk_al._utils import batches, checks, examples
from ntk_al.network.network import DIVERGED, Network
from ntk_al.types import Array, PyTree

_AFFINE = ("add", "sub", "mul", "div", "neg")
_MOVES = ("reshape", "squeeze", "convert_element_type", "transpose", "copy", "expand_dims")


class LackingError(ValueError):
    """Raised if a network does not end in a linear layer, so that it has no features to read."""


def last_features(network: Network, x: PyTree) -> Array:
    """Computes the inputs h(x) of the linear layer that returns the logits.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.

    Returns:
      ``[N, d]``.

    Raises:
      LackingError: if the logits do not come from a linear layer.
      ValueError: if the features are not finite.
    """
    result = batches.map_batches(functools.partial(_jitted_features, network), x)
    checks.finite("the network's last features", result, hint=DIVERGED)
    return result


def check_last_features(network: Network, x: PyTree) -> None:
    """Raises LackingError unless the logits come from a linear layer; uses only shapes."""
    jax.eval_shape(_features, network, examples.shapes(x, 1))


def _features(network: Network, x: PyTree) -> Array:
    of_network, structure = jax.tree.flatten(network)
    inputs, inputs_structure = jax.tree.flatten(x)

    def logits(*arrays: Array) -> Array:
        network = jax.tree.unflatten(structure, arrays[: len(of_network)])
        return network.logits(jax.tree.unflatten(inputs_structure, arrays[len(of_network) :]))

    program = inline(logits, [*of_network, *inputs])
    num_inputs = len(inputs)
    dependent = set(program.jaxpr.invars[len(program.jaxpr.invars) - num_inputs :])
    for equation in program.jaxpr.eqns:
        if not dependent.isdisjoint(v for v in equation.invars if isinstance(v, core.Var)):
            dependent.update(equation.outvars)
    head = _head(program.jaxpr, dependent)
    if head is None:
        raise LackingError(
            f"the network {network.name} does not end in a linear layer, whose inputs would be "
            "its features"
        )
    features, contracted = head
    values = environment(program, [*of_network, *inputs])
    h = run(program.jaxpr.eqns, values, features)
    free = [axis for axis in range(h.ndim) if axis not in contracted]
    h = jnp.transpose(h, (*free, *contracted))
    return h.reshape(examples.count(x), -1)


def _head(program: core.Jaxpr, dependent: set[core.Var]) -> tuple[core.Var, tuple[int, ...]] | None:
    """Finds the input of the last linear layer, and its contracted axes.

    It goes back from the logits through what is added to them and what they are scaled by, as long
    as only one operand depends on the inputs.
    """
    made_by = {v: equation for equation in program.eqns for v in equation.outvars}
    (current,) = program.outvars
    assert isinstance(current, core.Var)
    num_logits = shaped(current).size
    while current in made_by:
        equation = made_by[current]
        name = equation.primitive.name
        operands = [v for v in equation.invars if isinstance(v, core.Var) and v in dependent]
        if len(operands) != 1:
            return None
        if name == DOT:
            if shaped(equation.outvars[0]).size != num_logits:
                return None
            side = equation.invars.index(operands[0])
            contracted, batch = equation.params["dimension_numbers"]
            return None if batch[side] else (operands[0], tuple(contracted[side]))
        if name not in (*_AFFINE, *_MOVES, "broadcast_in_dim"):
            return None
        if name == "div" and equation.invars[0] is not operands[0]:
            return None  # a reciprocal of the operand
        if shaped(operands[0]).size != num_logits:
            return None
        (current,) = operands
    return None


_jitted_features = jax.jit(_features)
