"""What strategies read from inside of a network: its last features, and its dropout.

Both are found in any Linen module by intercepting the calls of its layers, so no model has to be
written for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ntk_al._utils import batches, checks
from ntk_al.network.network import DIVERGED, Network
from ntk_al.types import Array, ArrayLike


class LackingError(ValueError):
    """The network has not what was asked for."""


def features(network: Network, x: ArrayLike) -> Array:
    """Inputs h(x) of the Dense layer that gives the logits: ``[N, ...]`` to ``[N, d]``.

    Raises:
      LackingError: no Dense layer gives the logits.
      ValueError: features that are not finite.
    """
    result = batches.map_batches(functools.partial(_jitted_features, network), x)
    checks.finite("the network's last features", result, hint=DIVERGED)
    return result


def sample(network: Network, keys: Array, x: ArrayLike) -> Array:
    """Logits ``[N, C]`` with every Dropout layer active, each example under its own key.

    All else stays in inference mode: BatchNorm keeps its running statistics.

    Args:
      network: the network.
      keys: PRNG keys, ``[N]``: an example's draw depends on its own key alone.
      x: inputs, ``[N, ...]``.
    """
    size = min(batches.default_size(), len(x))
    parts = []
    for start in range(0, len(x), size):
        stop = min(start + size, len(x))
        first = stop - size  # the last batch overlaps the one before: all have one shape
        part = _jitted_sample(network, keys[first:stop], jnp.asarray(x[first:stop]))
        parts.append(part[start - first :])
    return jnp.concatenate(parts)


def dropout_rates(network: Network, x: ArrayLike) -> tuple[float, ...]:
    """The rates of the Dropout layers that a prediction passes, from shapes alone."""
    rates: list[float] = []

    def record(module: nn.Module, call: Callable[[], Any], args: Any) -> Any:
        if isinstance(module, nn.Dropout):
            rates.append(module.rate)
        return call()

    def logits(network: Network, x: Array) -> Array:
        return network.logits(x)

    # A function of its own for every call: of one seen before, the trace would be remembered, and
    # nothing would be recorded.
    _with_every_call(record, lambda: jax.eval_shape(logits, network, _one(x)))
    return tuple(rates)


def check_features(network: Network, x: ArrayLike) -> None:
    """Raises LackingError unless a Dense layer gives the logits, from shapes alone."""
    jax.eval_shape(_features, network, _one(x))


def _features(network: Network, x: Array) -> Array:
    heads: list[tuple[Array, Array]] = []

    def record(module: nn.Module, call: Callable[[], Any], args: Any) -> Any:
        y = call()
        if isinstance(module, nn.Dense):
            heads.append((args[0], y))
        return y

    logits = _with_every_call(record, lambda: network.logits(x))
    if not heads or heads[-1][1].shape != logits.shape:
        raise LackingError(
            f"the network {type(network.module).__name__} does not end in a Dense layer, whose "
            "inputs would be its features"
        )
    return heads[-1][0].reshape(len(x), -1)


def _sample(network: Network, keys: Array, x: Array) -> Array:
    def of_example(key: Array, example: Array) -> Array:
        count = 0

        def drop(module: nn.Module, call: Callable[[], Any], args: Any) -> Any:
            nonlocal count
            if not isinstance(module, nn.Dropout) or module.rate == 0:
                return call()
            count += 1
            active = nn.Dropout(module.rate, module.broadcast_dims, deterministic=False)
            rngs = {"dropout": jax.random.fold_in(key, count)}
            return active.apply({}, args[0], rngs=rngs)

        logits: Array = _with_every_call(drop, lambda: network.logits(example[None]))
        return logits[0]

    return jax.vmap(of_example)(keys, x)


def _with_every_call(
    visit: Callable[[nn.Module, Callable[[], Any], Any], Any], run: Callable[[], Any]
) -> Any:
    """Runs with ``visit(module, call, args)`` in place of every call of a module's ``__call__``."""
    inside = False

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        nonlocal inside
        if inside or context.method_name != "__call__":
            return next_function(*args, **kwargs)
        if not isinstance(context.module, nn.Dense | nn.Dropout):
            return next_function(*args, **kwargs)
        inside = True
        try:
            return visit(context.module, lambda: next_function(*args, **kwargs), args)
        finally:
            inside = False

    with nn.intercept_methods(intercept):
        return run()


def _one(x: ArrayLike) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))


_jitted_features = jax.jit(_features)
_jitted_sample = jax.jit(_sample)
