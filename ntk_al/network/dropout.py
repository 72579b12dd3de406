"""Predictions of a network with its dropout switched on.

The calls of Dropout layers are intercepted, so this works for any Linen module and the model needs
no special code.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax

from ntk_al._utils import batches
from ntk_al.network import linen
from ntk_al.network.network import Network, one_example
from ntk_al.types import Array, ArrayLike


def dropout_rates(network: Network, x: ArrayLike) -> tuple[float, ...]:
    """Returns the rates of the Dropout layers that a prediction calls, from shapes alone."""
    rates: list[float] = []

    def record(call: linen.Call, layer: nn.Dropout) -> Any:
        rates.append(layer.rate)
        return call.run()

    def logits(network: Network, x: Array) -> Array:
        return network.logits(x)

    # `logits` is a new function in every call. JAX caches the traces of functions, and with a
    # cached trace nothing would be recorded.
    with linen.intercept_calls(linen.calls_of(nn.Dropout), record):
        jax.eval_shape(logits, network, one_example(x))
    return tuple(rates)


def sample_logits(network: Network, keys: Array, x: ArrayLike) -> Array:
    """Computes logits with every Dropout layer active.

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
def _sample_logits(network: Network, keys: Array, x: Array) -> Array:
    def of_example(key: Array, example: Array) -> Array:
        count = 0

        def drop(call: linen.Call, layer: nn.Dropout) -> Any:
            nonlocal count
            if layer.rate == 0:
                return call.run()
            count += 1
            active = nn.Dropout(layer.rate, layer.broadcast_dims, deterministic=False)
            rngs = {"dropout": jax.random.fold_in(key, count)}
            return active.apply({}, call.args[0], rngs=rngs)

        with linen.intercept_calls(linen.calls_of(nn.Dropout), drop):
            return network.logits(example[None])[0]

    return jax.vmap(of_example)(keys, x)
