"""One batched forward and backward pass that records the factors of every layer's gradient.

For each layer with a rule, the pass records the input and adds a zero to the output y. The gradient
with respect to that zero is ∂g/∂y. All samples pass as one batch: a ``vmap`` over single samples,
which XLA merges into the batch of each convolution. The records of different samples therefore
never mix, whatever the network does with its axes.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import flax.core
import flax.linen as nn
import flax.traverse_util
import jax
import jax.extend.core
import jax.numpy as jnp

from ntk_al.kernels.empirical.factors import Factors, Layer, Leaf, Path
from ntk_al.kernels.empirical.layers import RULES, LayerRule
from ntk_al.network import Network, linen
from ntk_al.types import Array, ArrayLike, PyTree

Shape = tuple[int, ...]


def survey(network: Network, x: ArrayLike) -> tuple[tuple[Layer, ...], tuple[Leaf, ...]]:
    """Finds the parameters that a rule covers and those that no rule covers, from shapes alone.

    The result is cached for each architecture and example shape.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.

    Returns:
      The parameters with a rule, and those without one on which the logits depend.
    """
    leaves, treedef = jax.tree_util.tree_flatten(network.variables)
    shapes = tuple((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves)
    dtype = jax.dtypes.canonicalize_dtype(x.dtype)
    return _survey(network.module, treedef, shapes, (1, *x.shape[1:]), dtype)


def capture(
    network: Network, x: Array, layers: tuple[Layer, ...], leaves: tuple[Leaf, ...], readout: str
) -> Factors:
    """Computes the factors of the gradient of g at inputs ``[N, ...]``.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.
      layers: the layers whose factors are recorded.
      leaves: the parameters without a rule whose gradients are recorded.
      readout: a key of ``READOUTS``, the read-out g.
    """
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

        def add_zero(call: linen.Call, rule: LayerRule) -> Array:
            y: Array = call.run()
            index = known.get((*call.module.path, rule.parameter))
            if index is None:
                return y
            zero = zeros[index][len(inputs[index])]
            inputs[index].append(call.args[0])
            return y + zero.astype(y.dtype)

        updates = {leaf.path: value for leaf, value in zip(leaves, direct, strict=True)}
        params = flax.traverse_util.unflatten_dict({**flat, **updates})
        with _intercept_layers(add_zero):
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
        """Takes parameters from ``inside`` in covered calls and from ``outside`` elsewhere."""

        def record(call: linen.Call, rule: LayerRule) -> Array:
            module, (x,) = call.module, call.args
            path = (*module.path, rule.parameter)
            own = {name: outside[(*module.path, name)] for name in module.variables["params"]}
            own[rule.parameter] = inside[path]
            y: Any = module.clone(parent=None, name=None).apply({"params": own}, x)
            calls[path].append((rule, *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, y))))
            return cast(Array, y)

        network = Network(module, {**others, "params": flax.traverse_util.unflatten_dict(outside)})
        with _intercept_layers(record, warn=True):
            return network.logits(x)

    others = {name: value for name, value in variables.items() if name != "params"}
    example = jax.ShapeDtypeStruct(example_shape, dtype)
    program = jax.make_jaxpr(logits)(params, params, others, example)
    # If a parameter is also used outside the recorded calls, like a tied embedding, its rule would
    # miss a part of the gradient. A rule covers a parameter only if there is no such use.
    outside = dict(zip(params, program.jaxpr.invars, strict=False))
    used = {id(v) for equation in program.jaxpr.eqns for v in equation.invars}
    layers = tuple(
        Layer(path, *(tuple(values) for values in zip(*calls[path], strict=True)))
        for path in params
        if path in calls and id(outside[path]) not in used
    )
    covered = {layer.path for layer in layers}
    # If the logits do not depend on a parameter, its gradient is zero, so it is left out.
    leaves = tuple(
        Leaf(path, math.prod(leaf.shape))
        for path, leaf in params.items()
        if path not in covered and id(outside[path]) in used
    )
    return layers, leaves


@contextlib.contextmanager
def _intercept_layers(
    visit: Callable[[linen.Call, LayerRule], Array], *, warn: bool = False
) -> Iterator[None]:
    """Within this block, ``visit`` replaces the calls that a rule covers."""
    # Inside nn.scan, nn.remat and the like, values belong to a different trace than the samples.
    outer = _trace_state()

    def rule_of(call: linen.Call) -> LayerRule | None:
        covers = RULES.get(type(call.module))
        if covers is None or len(call.args) != 1 or call.kwargs or _trace_state() != outer:
            return None
        rule = covers(call.module, call.args[0])
        if not isinstance(rule, str):
            return rule
        if warn:
            logging.getLogger(__name__).warning(
                "the layer %s uses %s, which has no fast rule; its gradient is exact but slow",
                "/".join(call.module.path),
                rule,
            )
        return None

    with linen.intercept_calls(rule_of, visit):
        yield


def _trace_state() -> object:
    return jax.extend.core.get_opaque_trace_state(convention="flax")


def _plain(tree: PyTree) -> PyTree:
    """Turns ``params``, which may be a FrozenDict, into nested dicts."""
    return flax.core.unfreeze(tree)
