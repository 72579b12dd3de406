"""What is checked of a network before anything is computed with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ntk_al._utils import batches, checks, examples
from ntk_al.network import linen
from ntk_al.network.function import Function
from ntk_al.types import Array, PyTree

if TYPE_CHECKING:
    from ntk_al.network.network import Network

_TOLERANCE = 1e-4  # of the largest output; a batch statistic moves outputs by far more
_COMPANY = 4  # examples in the batch; a whole batch would take longer than a small kernel
_HALF_TOLERANCE = 2e-2  # the same for outputs in half precision


def check_shapes(network: Network, logits: Callable[[Network, PyTree], Array], x: PyTree) -> int:
    """Checks, from shapes alone, that a network maps ``x`` to logits, and returns C.

    Args:
      network: the network.
      logits: computes the logits of a network.
      x: inputs, ``[N, ...]``.

    Raises:
      ValueError: if it cannot be applied to ``x``, or its outputs do not have shape ``[N, C]``.
    """
    try:
        output = jax.eval_shape(logits, network, examples.shapes(x))
    except Exception as error:
        output = _returned(network, x)
        if output is not None and network.output is not None:
            raise ValueError(
                f"output= of the network {network.name} cannot be applied to {_kind(output)}, "
                f"which the network returned: {type(error).__name__}: {error}"
            ) from error
        if output is not None and not hasattr(output, "shape"):
            raise ValueError(_not_logits(network, output)) from None
        raise ValueError(
            f"the network {network.name} cannot be applied to inputs of {examples.describe(x)}: "
            f"{type(error).__name__}: {error}\n{_hint(network, x)}"
        ) from error
    num = examples.count(x)
    shape = getattr(output, "shape", None)
    if shape is None:
        raise ValueError(_not_logits(network, output))
    if len(shape) == 1 and num > 1 and shape != (num,):
        raise ValueError(
            f"the network {network.name} returned shape {shape} for {num} examples, so it seems "
            "to take one example; write jax.vmap around it: "
            "lambda params, x: jax.vmap(lambda one: apply(params, one))(x)"
        )
    if len(shape) != 2 or shape[0] != num:
        advice = "; add an axis with output=lambda out: out[:, None]" if shape == (num,) else ""
        raise ValueError(
            "the network must map inputs [N, ...] to logits [N, C]; for inputs of "
            f"{examples.describe(x)} it returned shape {shape}{advice}"
        )
    return int(shape[1])


def check_independence(
    network: Network, logits: Callable[[Network, PyTree], Array], x: PyTree
) -> None:
    """Raises ValueError if the output for an example depends on the other examples of its batch.

    The first example is predicted twice, with different company in batches of one shape. An
    example without company gets an example of zeros.

    Args:
      network: the network.
      logits: computes the logits of a network.
      x: inputs, ``[N, ...]``.
    """
    if examples.count(x) == 1:
        x = jax.tree.map(lambda a: np.concatenate([a, np.zeros_like(a)]), x)
    some = examples.take(x, slice(_COMPANY))
    _, (batch,) = next(batches.split(_COMPANY, some))
    if checks.is_traced(batch):
        return
    alone = jax.tree.map(lambda a: np.repeat(np.asarray(a)[:1], len(a), axis=0), batch)
    outputs = [logits(network, b) for b in (batch, alone)]
    if checks.is_traced(outputs):  # the network may close over tracers
        return
    together, apart = (np.asarray(output)[0] for output in outputs)
    half = together.dtype.itemsize < np.dtype(np.float32).itemsize
    if not np.isfinite(together.astype(float)).all():
        return  # `predict` reports outputs that are not finite
    tolerance = _HALF_TOLERANCE if half else _TOLERANCE
    difference = float(np.abs(together.astype(float) - apart.astype(float)).max())
    # A difference that is NaN counts: in a batch of equal examples, statistics may be 0 / 0.
    if not difference <= tolerance * float(np.abs(together.astype(float)).max()):
        raise ValueError(
            f"the output of the network {network.name} for one example depends on the other "
            f"examples of its batch (it moved by {difference:.2g}), so no kernel of single "
            "examples exists. Is it in training mode? Call model.eval(), or make BatchNorm use "
            "its running averages, or replace batch statistics by LayerNorm or GroupNorm"
        )


def _hint(network: Network, x: PyTree) -> str:
    leaves = jax.tree_util.tree_flatten_with_path(network.params)[0]
    settings = [path for path, leaf in leaves if not hasattr(leaf, "dtype")]
    if settings:
        name = jax.tree_util.keystr(settings[0])
        return (
            f"params{name} is not an array. Under jit, numbers in params become arrays of unknown "
            "value, so settings belong into the function, not into params."
        )
    if _is_swapped(network, x):
        return (
            "Its arguments are swapped: it takes (x, params), and Network.from_function takes "
            "apply(params, x); write lambda params, x: apply(x, params)."
        )
    if network.module is not None:
        return (
            f"{linen.training_hint()} A module that takes several inputs can be wrapped: "
            "Network.from_function(lambda params, x: module.apply({'params': params}, x['ids'], "
            "x['mask']), variables['params'])."
        )
    return (
        "Check that the inputs are what the network was trained on, and that it takes a batch "
        "[N, ...]; a function of one example needs jax.vmap. A network that takes other arguments "
        "can be wrapped: lambda params, x: apply(params, x['ids'], x['mask']), or "
        "apply(params, None, x) where a PRNG key is expected."
    )


def _is_swapped(network: Network, x: PyTree) -> bool:
    """Whether a function that failed for (params, x) returns an array for (x, params)."""
    if not isinstance(network.definition, Function):
        return False
    apply, swapped = network.definition.apply, (examples.shapes(x), network.params)
    output = None
    with contextlib.suppress(Exception):
        output = jax.eval_shape(apply, *swapped)
    return hasattr(output, "shape")


def _returned(network: Network, x: PyTree) -> Any:
    """Traces a network that failed; returns what it returned, or ``None`` if it did not return."""
    outputs = []

    def record(network: Network, x: PyTree) -> None:
        outputs.append(network.definition.predict(network.params, network.state, x))

    with contextlib.suppress(Exception):
        jax.eval_shape(record, network, examples.shapes(x))
    return outputs[0] if outputs else None


def _not_logits(network: Network, output: Any) -> str:
    return (
        f"the network {network.name} returned {_kind(output)} in place of logits [N, C]; pick "
        "them with output=, for example output=lambda out: out.logits, or out['logits'], or out[0]"
    )


def _kind(output: Any) -> str:
    kind = type(output).__name__
    if hasattr(output, "shape"):
        return f"an array of shape {output.shape}"
    if isinstance(output, dict):
        return f"a dict with {', '.join(map(repr, output))}"
    if isinstance(output, tuple | list):
        return f"a {kind} of {len(output)}"
    return f"an object of type {kind}"
