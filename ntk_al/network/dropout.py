"""Predictions of a network with its dropout switched on."""

from __future__ import annotations

import functools

import jax

from ntk_al._utils import batches, examples
from ntk_al.network.network import Network
from ntk_al.types import Array, PyTree


def dropout_rates(network: Network, x: PyTree) -> tuple[float, ...]:
    """Returns the rates of the dropout in a prediction, from shapes alone."""
    one = examples.shapes(x, 1)
    return network.definition.dropout_rates(network.params, network.state, one)


def sample_logits(network: Network, keys: Array, x: PyTree) -> Array:
    """Computes logits with all dropout active.

    Everything else stays in inference mode; for example, BatchNorm uses its running statistics.

    Args:
      network: the network.
      keys: one PRNG key for each example, ``[N]``; the draw of an example depends on no other key.
      x: inputs, ``[N, ...]``.

    Returns:
      ``[N, C]``.
    """
    return batches.map_batches(functools.partial(_sample_logits, network), keys, x)


@jax.jit
def _sample_logits(network: Network, keys: Array, x: PyTree) -> Array:
    def of_example(key: Array, example: PyTree) -> Array:
        one = jax.tree.map(lambda a: a[None], example)
        output = network.definition.sample(network.params, network.state, one, key)
        return network.pick(output)[0]

    return jax.vmap(of_example)(keys, x)
