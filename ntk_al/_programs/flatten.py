"""Flattens a program, so that every use of its parameters is an equation of its own.

``flatten`` inlines calls and unrolls short scans, wherever a parameter enters them; ``inline``
inlines all calls. Nothing else changes: the flat program computes the same values with the same
derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core

from ntk_al._programs.primitives import (
    CALLS,
    SCAN,
    bind,
    called,
    environment,
    read,
    scan_layout,
)
from ntk_al._programs.views import is_view

_MOST_UNROLLED = 1000
"""How many equations a scan may become when it is unrolled; each takes some 10 ms to compile."""


def flatten(
    function: Callable[..., Any], followed: Sequence[Any], others: Sequence[Any]
) -> core.ClosedJaxpr:
    """Traces a function and flattens the program.

    Args:
      function: a function of all arguments that returns one array.
      followed: the first arguments, as arrays or their shapes; calls that they enter are inlined.
      others: the other arguments, as arrays or their shapes.

    Returns:
      A program of the same arguments.
    """
    follows = [True] * len(followed) + [False] * len(others)
    return _retraced(function, [*followed, *others], follows)


def inline(function: Callable[..., Any], arguments: Sequence[Any]) -> core.ClosedJaxpr:
    """Traces a function of arrays that returns one array, and inlines all calls."""
    return _retraced(function, arguments, [False] * len(arguments), enter_all=True)


def _retraced(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    follows: Sequence[bool],
    *,
    enter_all: bool = False,
) -> core.ClosedJaxpr:
    program = jax.make_jaxpr(function)(*arguments)

    def inlined(*arguments: Any) -> Any:
        (result,) = _run(program, arguments, follows, enter_all=enter_all)[0]
        return result

    return jax.make_jaxpr(inlined)(*arguments)


def _run(
    program: core.ClosedJaxpr,
    arguments: Sequence[Any],
    follows: Sequence[bool],
    *,
    enter_all: bool = False,
) -> tuple[list[Any], list[bool]]:
    """Executes a program equation by equation, entering the calls that a followed value enters.

    With ``enter_all``, it enters every call.

    Returns:
      The results, and for each whether it is a followed argument, or a view of one.
    """
    values = environment(program, arguments)
    followed = {v for v, follow in zip(program.jaxpr.invars, follows, strict=True) if follow}

    def is_followed(atom: core.Var | core.Literal) -> bool:
        return not isinstance(atom, core.Literal) and atom in followed

    for equation in program.jaxpr.eqns:
        inputs = [read(atom, values) for atom in equation.invars]
        enters = [is_followed(atom) for atom in equation.invars]
        outputs, follow = _execute(equation, inputs, enters, enter_all)
        values.update(zip(equation.outvars, outputs, strict=True))
        followed.update(v for v, f in zip(equation.outvars, follow, strict=True) if f)
    results = program.jaxpr.outvars
    return [read(atom, values) for atom in results], [is_followed(atom) for atom in results]


def _execute(
    equation: core.JaxprEqn, inputs: list[Any], enters: list[bool], enter_all: bool
) -> tuple[list[Any], list[bool]]:
    name, matters = equation.primitive.name, any(enters)
    if name in CALLS and (matters or enter_all):
        return _run(called(equation), inputs, enters, enter_all=enter_all)
    if name == SCAN and matters and _unrolled_size(equation) <= _MOST_UNROLLED:
        return _unroll(equation, inputs, enters)
    return bind(equation, inputs), [matters and is_view(equation)] * len(equation.outvars)


def _unroll(
    scan: core.JaxprEqn, inputs: list[Any], enters: list[bool]
) -> tuple[list[Any], list[bool]]:
    """Executes a scan step by step; slices of a followed array are followed, too."""
    body, length = called(scan), scan.params["length"]
    constants, num_carry = scan_layout(scan)
    carried = constants + num_carry
    carry, carry_follows = inputs[constants:carried], enters[constants:carried]
    steps: list[list[Any]] = [[]] * length
    order = range(length)
    for step in reversed(order) if scan.params["reverse"] else order:
        slices = [jax.lax.index_in_dim(x, step, keepdims=False) for x in inputs[carried:]]
        outputs, follows = _run(
            body,
            [*inputs[:constants], *carry, *slices],
            [*enters[:constants], *carry_follows, *enters[carried:]],
        )
        carry, carry_follows = outputs[:num_carry], follows[:num_carry]
        steps[step] = outputs[num_carry:]
    stacked = [jax.numpy.stack(of_step) for of_step in zip(*steps, strict=True)]
    return [*carry, *stacked], [*carry_follows, *[False] * len(stacked)]


def _unrolled_size(equation: core.JaxprEqn) -> int:
    """The number of equations after everything inside is inlined and unrolled."""
    if equation.primitive.name not in (*CALLS, SCAN):
        return 1
    body = called(equation).jaxpr.eqns
    return equation.params.get("length", 1) * sum(_unrolled_size(inner) for inner in body)
