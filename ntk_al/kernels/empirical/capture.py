"""One batched forward and backward pass that records the factors of every layer's gradient.

For each equation with a rule, the pass records the activation and adds a zero to the output y. The
gradient with respect to that zero is ∂g/∂y. All samples pass as one batch: a ``vmap`` over single
samples, which XLA merges into the batch of each convolution. The records of different samples
therefore never mix, whatever the network does with its axes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.extend import core

from ntk_al._programs.primitives import bind, environment, read
from ntk_al._utils import examples
from ntk_al.kernels.empirical.factors import Factors, Layer, Leaf
from ntk_al.kernels.empirical.survey import arguments, survey
from ntk_al.network import READOUTS, Network
from ntk_al.types import Array, PyTree

Records = tuple[tuple[Array, ...], ...]


def capture(
    network: Network, x: PyTree, layers: tuple[Layer, ...], leaves: tuple[Leaf, ...], readout: str
) -> Factors:
    """Computes the factors of the gradient of g at inputs ``[N, ...]``.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.
      layers: the layers whose factors are recorded.
      leaves: the parameters without a rule whose gradients are recorded.
      readout: a key of ``READOUTS``, the read-out g.
    """
    program = survey(network, x).program
    zeros = tuple(
        tuple(jnp.zeros(y.shape, jnp.promote_types(y.dtype, jnp.float32)) for y in layer.outputs)
        for layer in layers
    )
    parameters, _ = arguments(network, x)

    def g(zeros: Records, direct: tuple[Array, ...], example: PyTree) -> tuple[Array, Records]:
        of_network, others = arguments(network, jax.tree.map(lambda a: a[None], example))
        for leaf, value in zip(leaves, direct, strict=True):
            of_network[leaf.parameter] = value
        output, inputs = _run(program, [*of_network, *others], layers, zeros)
        return READOUTS[readout](output)[0], inputs

    direct = tuple(parameters[leaf.parameter] for leaf in leaves)
    gradient = jax.grad(g, argnums=(0, 1), has_aux=True)
    (gradients, rows), inputs = jax.vmap(gradient, in_axes=(None, None, 0))(zeros, direct, x)
    num = examples.count(x)
    return Factors(inputs, gradients, tuple(row.reshape(num, -1) for row in rows))


def _run(
    program: core.ClosedJaxpr, arguments: list[Array], layers: tuple[Layer, ...], zeros: Records
) -> tuple[Array, Records]:
    """Runs a program with a zero added to the output of each call of a layer.

    Returns:
      The result, and the activations that enter the calls.
    """
    values = environment(program, arguments)
    calls = {
        number: (activation, zero)
        for layer, of_layer in zip(layers, zeros, strict=True)
        for number, activation, zero in zip(
            layer.equations, layer.activations, of_layer, strict=True
        )
    }
    recorded = {}
    for number, equation in enumerate(program.jaxpr.eqns):
        inputs = [read(atom, values) for atom in equation.invars]
        outputs = bind(equation, inputs)
        if number in calls:
            activation, zero = calls[number]
            recorded[number] = jnp.asarray(inputs[activation])
            outputs = [outputs[0] + zero.astype(outputs[0].dtype)]
        values.update(zip(equation.outvars, outputs, strict=True))
    (result,) = program.jaxpr.outvars
    return read(result, values), tuple(
        tuple(recorded[n] for n in layer.equations) for layer in layers
    )
