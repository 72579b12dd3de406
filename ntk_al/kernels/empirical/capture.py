"""One batched forward and backward pass that records what every layer's gradient is made of.

A known layer's input is recorded, and a zero is added to its output: the gradient with respect to
that zero is ∂g/∂y. All samples go through as one batch (``vmap`` of one sample, which XLA merges
into the batch of each convolution), so a sample's record is its own by construction, whatever the
network does with its axes.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from typing import Any, cast

import flax.core
import flax.linen as nn
import flax.traverse_util
import jax
import jax.extend.core
import jax.numpy as jnp

from ntk_al.kernels.empirical.layers import RULES, LayerRule
from ntk_al.network import Network
from ntk_al.types import Array, ArrayLike, PyTree

Path = tuple[str, ...]
Shape = tuple[int, ...]
Call = Callable[[], Array]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A parameter that a rule covers, and the calls of its layer; shapes are of one sample, [...].

    Attributes:
      path: where the parameter is in ``params``.
      rules: one for each call of the layer, in order.
      inputs: shape of the input of each call.
      outputs: shape of the output of each call.
    """

    path: Path
    rules: tuple[LayerRule, ...]
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    outputs: tuple[jax.ShapeDtypeStruct, ...]


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A parameter without a rule; its gradient for each sample is taken as it is."""

    path: Path
    size: int


@dataclasses.dataclass(frozen=True)
class Factors:
    """What one pass records of N samples.

    Attributes:
      inputs: for each layer, the input of each of its calls, ``[N, ...]``.
      gradients: for each layer, ∂g/∂y of each of its calls, ``[N, ...]``.
      leaves: for each leaf ∂g/∂θ, ``[N, size]``.
    """

    inputs: tuple[tuple[Array, ...], ...]
    gradients: tuple[tuple[Array, ...], ...]
    leaves: tuple[Array, ...]


jax.tree_util.register_dataclass(Factors, ["inputs", "gradients", "leaves"], [])


def survey(network: Network, x: ArrayLike) -> tuple[tuple[Layer, ...], tuple[Leaf, ...]]:
    """Which parameters of a network a rule covers, and which it does not, from shapes alone.

    Remembered for each network architecture and shape of an example.
    """
    leaves, treedef = jax.tree_util.tree_flatten(network.variables)
    shapes = tuple((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves)
    dtype = jax.dtypes.canonicalize_dtype(x.dtype)
    return _survey(network.module, treedef, shapes, (1, *x.shape[1:]), dtype)


def capture(
    network: Network, x: Array, layers: tuple[Layer, ...], leaves: tuple[Leaf, ...], readout: str
) -> Factors:
    """The factors of the gradient of g at inputs ``[N, ...]``, for these layers and leaves."""
    flat = flax.traverse_util.flatten_dict(_plain(network.params))
    zeros = tuple(
        tuple(jnp.zeros(y.shape, jnp.promote_types(y.dtype, jnp.float32)) for y in layer.outputs)
        for layer in layers
    )

    def g(
        zeros: tuple[tuple[Array, ...], ...], direct: tuple[Array, ...], example: Array
    ) -> tuple[Array, tuple[tuple[Array, ...], ...]]:
        known = {layer.path: i for i, layer in enumerate(layers)}
        inputs: list[list[Array]] = [[] for _ in layers]

        def add_zero(module: nn.Module, rule: LayerRule, x: Array, call: Call) -> Array:
            index = known.get((*module.path, rule.parameter))
            if index is None:
                return call()
            y = call()
            zero = zeros[index][len(inputs[index])]
            inputs[index].append(x)
            return y + zero.astype(y.dtype)

        updates = {leaf.path: value for leaf, value in zip(leaves, direct, strict=True)}
        params = flax.traverse_util.unflatten_dict({**flat, **updates})
        with nn.intercept_methods(_interceptor(add_zero)):
            output = network.replace_params(params).readout(example[None], readout)[0]
        return output, tuple(map(tuple, inputs))

    direct = tuple(flat[leaf.path] for leaf in leaves)
    gradient = jax.grad(g, argnums=(0, 1), has_aux=True)
    (gradients, rows), inputs = jax.vmap(gradient, in_axes=(None, None, 0))(zeros, direct, x)
    return Factors(inputs, gradients, tuple(row.reshape(len(x), -1) for row in rows))


@functools.lru_cache(maxsize=64)
def _survey(
    module: nn.Module,
    treedef: jax.tree_util.PyTreeDef,
    shapes: tuple[tuple[Shape, jnp.dtype], ...],
    example_shape: Shape,
    dtype: jnp.dtype,
) -> tuple[tuple[Layer, ...], tuple[Leaf, ...]]:
    variables = jax.tree_util.tree_unflatten(
        treedef, [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    )
    params = flax.traverse_util.flatten_dict(_plain(variables["params"]))
    calls: dict[Path, list[tuple[Any, ...]]] = collections.defaultdict(list)

    def logits(outside: PyTree, inside: PyTree, others: PyTree, x: Array) -> Array:
        """Parameters as covered calls use them are ``inside``; all other uses are ``outside``."""

        def record(module: nn.Module, rule: LayerRule, x: Array, _: Call) -> Array:
            path = (*module.path, rule.parameter)
            own = {name: outside[(*module.path, name)] for name in module.variables["params"]}
            own[rule.parameter] = inside[path]
            y: Any = module.clone(parent=None, name=None).apply({"params": own}, x)
            calls[path].append((rule, *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, y))))
            return cast(Array, y)

        network = Network(module, {**others, "params": flax.traverse_util.unflatten_dict(outside)})
        with nn.intercept_methods(_interceptor(record, warn=True)):
            return network.logits(x)

    others = {name: value for name, value in variables.items() if name != "params"}
    example = jax.ShapeDtypeStruct(example_shape, dtype)
    program = jax.make_jaxpr(logits)(params, params, others, example)
    # A parameter that is also used outside of the calls that were seen, as a tied embedding is,
    # would miss a part of its gradient: the rule covers it only if that use is nowhere.
    outside = dict(zip(params, program.jaxpr.invars, strict=False))
    used = {id(v) for equation in program.jaxpr.eqns for v in equation.invars}
    layers = tuple(
        Layer(path, *(tuple(values) for values in zip(*calls[path], strict=True)))
        for path in params
        if path in calls and id(outside[path]) not in used
    )
    covered = {layer.path for layer in layers}
    # A parameter that the logits do not depend on has the gradient zero, and is left out.
    leaves = tuple(
        Leaf(path, math.prod(leaf.shape))
        for path, leaf in params.items()
        if path not in covered and id(outside[path]) in used
    )
    return layers, leaves


def _interceptor(visit, *, warn=False):  # type: ignore[no-untyped-def]
    """Flax interceptor that replaces each call that a rule covers by ``visit``."""
    # Inside of nn.scan, nn.remat and the like, values belong to another trace than the samples.
    outer = jax.extend.core.get_opaque_trace_state(convention="flax")
    inside = False

    def intercept(next_function, args, kwargs, context):  # type: ignore[no-untyped-def]
        nonlocal inside
        module = context.module
        covers = RULES.get(type(module))
        same_trace = jax.extend.core.get_opaque_trace_state(convention="flax") == outer
        if (
            inside
            or covers is None
            or not same_trace
            or context.method_name != "__call__"
            or len(args) != 1
            or kwargs
        ):
            return next_function(*args, **kwargs)
        rule = covers(module, args[0])
        if isinstance(rule, str):
            if warn:
                logging.getLogger(__name__).warning(
                    "the layer %s uses %s, which has no fast rule; its gradient is exact, and slow",
                    "/".join(module.path),
                    rule,
                )
            return next_function(*args, **kwargs)
        inside = True
        try:
            return visit(module, rule, args[0], lambda: next_function(*args))
        finally:
            inside = False

    return intercept


def _plain(tree: PyTree) -> PyTree:
    """Nested dicts, where ``params`` may be a FrozenDict."""
    return flax.core.unfreeze(tree)
