"""The names of JAX's primitives, some of which differ between releases, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.extend import core

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
}
"""Primitives that only call a program, and the parameter that holds it. They can be inlined.

Calls with a derivative rule of their own (``custom_jvp_call`` and ``custom_vjp_call``) are not
among them, because inlining would lose that rule."""

SCAN = "scan"
DOT = "dot_general"
CONVOLUTION = "conv_general_dilated"
GATHER = "gather"


def shaped(atom: core.Var | core.Literal) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of a variable or a literal."""
    aval: Any = atom.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def called(equation: core.JaxprEqn) -> core.ClosedJaxpr:
    """Returns the program that a call of ``CALLS`` or a scan executes."""
    program = equation.params[CALLS.get(equation.primitive.name, "jaxpr")]
    return program if isinstance(program, core.ClosedJaxpr) else core.ClosedJaxpr(program, ())


def scan_layout(scan: core.JaxprEqn) -> tuple[int, int]:
    """Returns how many inputs of a scan are constants, and how many are carried from step to step.

    The remaining inputs are sliced. Releases of JAX write these numbers down in different ways, but
    whatever is sliced or stacked has one axis more than within a step.
    """
    body = called(scan).jaxpr

    def whole(outer: Sequence[Any], inner: Sequence[Any]) -> int:
        return sum(shaped(a).shape == shaped(b).shape for a, b in zip(outer, inner, strict=True))

    carried = whole(scan.outvars, body.outvars)
    return whole(scan.invars, body.invars) - carried, carried


def bind(equation: core.JaxprEqn, inputs: Sequence[Any]) -> list[Any]:
    """Executes one equation on other inputs; derivative rules of its own stay in force."""
    primitive = equation.primitive
    parameters: Any = primitive.get_bind_params(equation.params)
    # Some releases return the functions among the parameters apart from the others.
    functions, named = parameters if isinstance(parameters, tuple) else ((), parameters)
    with equation.ctx.manager:
        outputs = primitive.bind(*functions, *inputs, **named)
    return list(outputs) if primitive.multiple_results else [outputs]


def environment(program: core.ClosedJaxpr, arguments: Sequence[Any]) -> dict[core.Var, Any]:
    """Returns the values of the variables with which a program begins."""
    values = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values.update(zip(program.jaxpr.invars, arguments, strict=True))
    return values


def run(equations: Sequence[core.JaxprEqn], values: dict[core.Var, Any], result: core.Var) -> Any:
    """Executes equations, given the values of the variables that they need, up to one result."""
    values = dict(values)
    for equation in equations:
        if result in values:
            break
        outputs = bind(equation, [read(atom, values) for atom in equation.invars])
        values.update(zip(equation.outvars, outputs, strict=True))
    return values[result]


def read(atom: core.Var | core.Literal, values: Mapping[core.Var, Any]) -> Any:
    """Returns the value of a variable or of a literal."""
    return atom.val if isinstance(atom, core.Literal) else values[atom]
