"""``Network``, the interface of the package to a trained Flax Linen module and its variables."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import flax.linen as nn
import jax

from ntk_al._utils import batches, checks
from ntk_al.network.linen import INFERENCE_ARGUMENTS, inference_arguments
from ntk_al.network.readouts import READOUTS
from ntk_al.types import Array, ArrayLike, PyTree

DIVERGED = "The network has diverged: retrain it with a lower learning rate."


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["variables"], meta_fields=["module"]
)
@dataclasses.dataclass(frozen=True)
class Network:
    """A Flax Linen module with its variables, always applied in inference mode.

    If the module has call arguments that are named in ``INFERENCE_ARGUMENTS`` (such as ``train`` or
    ``deterministic``), they are set for inference, so that BatchNorm uses its running statistics
    and dropout is off. A network is a pytree: the variables are its leaves, and the module is
    static.

    Attributes:
      module: a Linen module that maps inputs ``[N, ...]`` to logits ``[N, C]``.
      variables: the variables of the module, as ``module.init`` returns them and training updates
        them: ``params`` and, if the module has any, ``batch_stats`` and other collections. The
        kernel differentiates only ``params``.
    """

    module: nn.Module
    variables: PyTree

    @property
    def params(self) -> PyTree:
        """The parameters θ, with respect to which the kernel differentiates."""
        return self.variables["params"]

    def replace_params(self, params: PyTree) -> Network:
        """Returns the same network with other parameters."""
        return Network(self.module, {**self.variables, "params": params})

    def logits(self, x: ArrayLike) -> Array:
        """Computes the logits f(x), ``[N, C]``, of inputs ``[N, ...]`` in one pass."""
        arguments: dict[str, Any] = inference_arguments(self.module)
        return cast(Array, self.module.apply(self.variables, x, **arguments))

    def readout(self, x: ArrayLike, readout: str = "first_logit") -> Array:
        """Computes a scalar read-out g(x), ``[N]``, of inputs ``[N, ...]`` in one pass.

        Args:
          x: inputs, ``[N, ...]``.
          readout: a key of ``READOUTS``.
        """
        return READOUTS[readout](self.logits(x))

    def predict(self, x: ArrayLike, batch_size: int | None = None) -> Array:
        """Computes the logits f(x) of many inputs, in batches.

        Args:
          x: inputs, ``[N, ...]``.
          batch_size: examples in one pass; ``None`` chooses a size that suits the device.

        Returns:
          ``[N, C]``.

        Raises:
          ValueError: if there are no inputs, or if logits are NaN or infinite, which means that
            the network has diverged.
        """
        if batch_size is not None:
            checks.positive("batch_size", batch_size)
        if len(x) == 0:
            raise ValueError(f"x is empty: it has shape {x.shape}")
        if checks.is_traced(self, x):
            return self.logits(x)
        logits = batches.map_batches(
            functools.partial(_jitted_logits, self), x, batch_size=batch_size
        )
        checks.finite("the network's output", logits, hint=DIVERGED)
        return logits

    def check(self, x: ArrayLike) -> int:
        """Checks, from shapes alone, that this network maps ``x`` to logits.

        Args:
          x: inputs, ``[N, ...]``.

        Returns:
          C, the number of outputs.

        Raises:
          TypeError: if the module is not a Linen module or is not hashable.
          ValueError: if there are no ``params``, the module cannot be applied to ``x``, or the
            outputs do not have shape ``[N, C]`` with C ≥ 1.
        """
        if not isinstance(self.module, nn.Module):
            raise TypeError(
                f"Network.module must be a flax.linen Module, got {type(self.module).__name__}. "
                "Wrap other callables in a Linen module."
            )
        try:
            hash(self.module)
        except TypeError as error:
            raise TypeError(
                f"the module {type(self.module).__name__} is not hashable ({error}); "
                "make its attributes tuples and plain values, not lists or arrays"
            ) from error
        if not isinstance(self.variables, Mapping) or "params" not in self.variables:
            raise ValueError(
                "Network.variables must be a mapping with the collection 'params', as module.init "
                "returns it. For bare parameters write Network(module, {'params': params, ...})."
            )
        try:
            output = jax.eval_shape(_call_logits, self, _shape(x))
        except Exception as error:
            raise ValueError(
                f"the network {type(self.module).__name__} cannot be applied to inputs of shape "
                f"{x.shape} and dtype {x.dtype}: {type(error).__name__}: {error}\n"
                "If it asks for a PRNG key or says that a collection is immutable, it is still in "
                f"training mode: name that call argument one of {', '.join(INFERENCE_ARGUMENTS)}. "
                "If a collection is missing, pass all that module.init returned."
            ) from error
        shape = getattr(output, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != x.shape[0] or shape[1] < 1:
            raise ValueError(
                f"the network must map inputs [N, ...] to logits [N, C]; for {x.shape} it returned "
                f"{shape if shape is not None else type(output).__name__}"
            )
        return shape[1]


def one_example(x: ArrayLike) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of a batch that holds one of these examples."""
    return jax.ShapeDtypeStruct((1, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))


def _shape(x: ArrayLike) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, jax.dtypes.canonicalize_dtype(x.dtype))


def _call_logits(network: Network, x: Array) -> Array:
    return network.logits(x)


_jitted_logits = jax.jit(_call_logits)
