"""Finds the layers of a network, by reading the program that computes its logits."""

from __future__ import annotations

import collections
import dataclasses
import logging
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ntk_al._programs.flatten import flatten
from ntk_al._programs.primitives import shaped
from ntk_al._programs.views import View, is_view
from ntk_al._utils import checks, examples
from ntk_al.kernels.empirical.factors import Layer, Leaf
from ntk_al.kernels.empirical.layers import RULES, LayerRule
from ntk_al.network import Network, parameters
from ntk_al.types import Array, PyTree

_log = logging.getLogger(__name__)
_CACHED_PROGRAMS = 64
_MANY_CONSTANTS = 0.1  # as a share of the parameters


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """The program of a network for one example, and what it does with the parameters.

    Attributes:
      program: computes the logits ``[1, C]``; its arguments are the parameters, the other arrays
        of the network and the arrays of the example.
      layers: the parameters, or parts of them, that a rule covers.
      leaves: the parameters without a rule on which the logits depend.
    """

    program: core.ClosedJaxpr
    layers: tuple[Layer, ...]
    leaves: tuple[Leaf, ...]


@dataclasses.dataclass(frozen=True)
class _Use:
    """An equation that a rule covers.

    Attributes:
      number: its number in the program.
      activation: the operand that is not the parameter.
      view: the parameter as the equation sees it.
      rule: its rule.
      equation: the equation.
    """

    number: int
    activation: int
    view: View
    rule: LayerRule
    equation: core.JaxprEqn


def survey(network: Network, x: PyTree) -> Survey:
    """Reads the program of a network, from shapes alone.

    The result is cached for each architecture and example shape.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``; only the shape and dtype of an example matter.
    """
    one = examples.shapes(x, 1)
    shapes = jax.tree.map(_shape, network)
    leaves, structure = jax.tree.flatten((shapes, one))
    # The program also depends on these two settings, which a caller may change for a while.
    config: Any = jax.config
    settings = (config.jax_enable_x64, config.jax_default_matmul_precision)
    key = (structure, *((a.shape, a.dtype, a.weak_type) for a in leaves), settings)
    found = _surveys.get(key)
    if found is None:
        found = _survey(shapes, one)
        if not checks.is_traced(found.program.consts):  # a tracer must not outlive its trace
            _surveys[key] = found
            if len(_surveys) > _CACHED_PROGRAMS:
                _surveys.popitem(last=False)
    else:
        _surveys.move_to_end(key)
    return found


def _shape(a: Array) -> jax.ShapeDtypeStruct:
    of_array: Any = jax.typeof(a)
    weak = getattr(of_array, "weak_type", False)
    return jax.ShapeDtypeStruct(of_array.shape, of_array.dtype, weak_type=weak)


_surveys: collections.OrderedDict[Any, Survey] = collections.OrderedDict()


def arguments(network: Network, example: PyTree) -> tuple[list[Array], list[Array]]:
    """Returns the parameters, and the other arguments of the program of a network."""
    constants = [a for a in jax.tree.leaves(network.params) if not parameters.is_parameter(a)]
    others = [*constants, *jax.tree.leaves(network.state), *jax.tree.leaves(example)]
    return parameters.parameters(network), others


def _survey(network: Network, one: PyTree) -> Survey:
    followed, others = arguments(network, one)
    leaves, structure = jax.tree.flatten(network.params)
    state_structure, example_structure = map(jax.tree.structure, (network.state, one))
    num_state = len(jax.tree.leaves(network.state))

    def logits(*arrays: Array) -> Array:
        values, rest = iter(arrays[: len(followed)]), iter(arrays[len(followed) :])
        of_params = [next(values if parameters.is_parameter(a) else rest) for a in leaves]
        params = jax.tree.unflatten(structure, of_params)
        state = jax.tree.unflatten(state_structure, [next(rest) for _ in range(num_state)])
        return (
            network.with_params(params)
            .with_state(state)
            .logits(jax.tree.unflatten(example_structure, list(rest)))
        )

    program = flatten(logits, followed, others)
    _say_what_is_constant(network, program, sum(a.size for a in followed))
    names = parameters.names(network)
    uses, direct = _uses(program.jaxpr, len(followed), names)
    layers = [
        layer
        for i, of_one in uses.items()
        if i not in direct
        for layer in _layers(names[i], i, of_one)
    ]
    covered = {layer.parameter for layer in layers}
    uncovered = sorted((set(uses) | direct) - covered)
    found = tuple(Leaf(names[i], i, followed[i].size) for i in uncovered)
    if found:
        listed = ", ".join(leaf.name for leaf in found)
        _log.info("the gradients of these parameters are computed per sample: %s", listed)
    return Survey(program, tuple(layers), found)


def _say_what_is_constant(network: Network, program: core.ClosedJaxpr, num_parameters: int) -> None:
    """Logs a warning if a network closes over arrays that may have been meant as parameters."""
    closed_over = [a for a in program.consts if parameters.is_parameter(a)]
    size = sum(a.size for a in closed_over)
    if size > _MANY_CONSTANTS * num_parameters:
        _log.warning(
            "the network %s closes over arrays of %d real numbers, beside %d in its parameters; "
            "they are constants to the kernel. Pass in params what should count",
            network.name,
            size,
            num_parameters,
        )


def _uses(
    program: core.Jaxpr, num_parameters: int, names: list[str]
) -> tuple[dict[int, list[_Use]], set[int]]:
    """Lists the covered uses of each parameter, and the parameters with a use of another kind.

    Only equations on which the logits depend count.
    """
    live = _live(program)
    views = {v: View(i, shaped(v).shape) for i, v in enumerate(program.invars[:num_parameters])}
    uses: dict[int, list[_Use]] = collections.defaultdict(list)
    direct: set[int] = set()
    for number, equation in enumerate(program.eqns):
        entering = {
            operand: views[v]
            for operand, v in enumerate(equation.invars)
            if not isinstance(v, core.Literal) and v in views
        }
        if not entering or live.isdisjoint(equation.outvars):
            continue
        if is_view(equation):
            views[equation.outvars[0]] = entering[0].then(equation)
            continue
        covers = RULES.get(equation.primitive.name)
        if covers is not None and len(entering) == 1:
            ((operand, view),) = entering.items()
            rule = covers(equation, operand)
            if not isinstance(rule, str):
                uses[view.parameter].append(_Use(number, 1 - operand, view, rule, equation))
                continue
            _log.info("the parameter %s has no fast rule: %s", names[view.parameter], rule)
        direct.update(view.parameter for view in entering.values())
    direct.update(
        views[v].parameter
        for v in program.outvars
        if not isinstance(v, core.Literal) and v in views
    )
    return uses, direct


def _live(program: core.Jaxpr) -> set[core.Var]:
    """Returns the variables on which the results depend."""
    live = {v for v in program.outvars if not isinstance(v, core.Literal)}
    for equation in reversed(program.eqns):
        if not live.isdisjoint(equation.outvars):
            live.update(v for v in equation.invars if not isinstance(v, core.Literal))
    return live


def _layers(name: str, parameter: int, uses: list[_Use]) -> list[Layer]:
    """Makes one layer of all uses of the same entries; empty if no rule covers them together.

    Calls of one layer must agree on the place of every entry in W, and layers must not share any
    entry. Otherwise a part of the gradient would be missing.
    """
    if len(uses) == 1:
        return [_layer(name, parameter, uses)]
    arrangements: list[np.ndarray] = []
    groups: list[list[_Use]] = []
    for use in uses:
        arrangement = use.rule.arrange(use.view.entries)
        for known, group in zip(arrangements, groups, strict=True):
            if np.array_equal(known, arrangement):
                group.append(use)
                break
        else:
            arrangements.append(arrangement)
            groups.append([use])
    entries = np.concatenate([arrangement.ravel() for arrangement in arrangements])
    if len(np.unique(entries)) < len(entries):
        return []
    return [_layer(name, parameter, group) for group in groups]


def _layer(name: str, parameter: int, uses: list[_Use]) -> Layer:
    return Layer(
        name=name,
        parameter=parameter,
        equations=tuple(use.number for use in uses),
        activations=tuple(use.activation for use in uses),
        rules=tuple(use.rule for use in uses),
        inputs=tuple(shaped(use.equation.invars[use.activation]) for use in uses),
        outputs=tuple(shaped(use.equation.outvars[0]) for use in uses),
    )
