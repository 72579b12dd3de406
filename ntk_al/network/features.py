"""The last features of a network: the inputs of its final Dense layer.

The calls of Dense layers are intercepted, so this works for any Linen module and the model needs no
special code.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax

from ntk_al._utils import batches, checks
from ntk_al.network import linen
from ntk_al.network.network import DIVERGED, Network, one_example
from ntk_al.types import Array, ArrayLike


class LackingError(ValueError):
    """Raised if a network does not end in a Dense layer, so that it has no features to read."""


def last_features(network: Network, x: ArrayLike) -> Array:
    """Computes the inputs h(x) of the Dense layer that returns the logits.

    Args:
      network: the network.
      x: inputs, ``[N, ...]``.

    Returns:
      ``[N, d]``.

    Raises:
      LackingError: if the logits do not come from a Dense layer.
      ValueError: if the features are not finite.
    """
    result = batches.map_batches(functools.partial(_jitted_features, network), x)
    checks.finite("the network's last features", result, hint=DIVERGED)
    return result


def check_last_features(network: Network, x: ArrayLike) -> None:
    """Raises LackingError unless the logits come from a Dense layer; uses only shapes."""
    jax.eval_shape(_features, network, one_example(x))


def _features(network: Network, x: Array) -> Array:
    dense_calls: list[tuple[Array, Array]] = []

    def record(call: linen.Call, dense: nn.Dense) -> Any:
        del dense
        y = call.run()
        dense_calls.append((call.args[0], y))
        return y

    with linen.intercept_calls(linen.calls_of(nn.Dense), record):
        logits = network.logits(x)
    if not dense_calls or dense_calls[-1][1].shape != logits.shape:
        raise LackingError(
            f"the network {type(network.module).__name__} does not end in a Dense layer, whose "
            "inputs would be its features"
        )
    return dense_calls[-1][0].reshape(len(x), -1)


_jitted_features = jax.jit(_features)
