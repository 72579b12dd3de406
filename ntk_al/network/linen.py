"""Networks in Flax Linen: a module and its variables."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from ntk_al.network.arguments import INFERENCE_ARGUMENTS, inference_arguments, training_arguments
from ntk_al.network.definition import Shared
from ntk_al.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Linen:
    """A Linen module; its state is the mapping of all collections but ``params``."""

    shared: Shared

    @property
    def module(self) -> nn.Module:
        """The module."""
        module: nn.Module = self.shared.value
        return module

    @property
    def name(self) -> str:
        """The class of the module."""
        return type(self.module).__name__

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """See ``Definition``."""
        arguments: dict[str, Any] = inference_arguments(type(self.module))
        return self.module.apply({**state, "params": params}, x, **arguments)

    def train(
        self, params: PyTree, state: PyTree, x: PyTree, key: Array, **arguments: Any
    ) -> tuple[Any, PyTree]:
        """See ``Definition``; the arguments are those of ``module.apply``."""
        options: dict[str, Any] = {**training_arguments(type(self.module)), **arguments}
        # Linen falls back on the stream `params` for streams of other names.
        streams = {"dropout": key, "params": jax.random.fold_in(key, 0)}
        output, updated = self.module.apply(
            {**state, "params": params}, x, mutable=list(state), rngs=streams, **options
        )
        return output, {**state, **updated}

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """See ``Definition``."""
        count = 0

        def drop(layer: nn.Dropout, run: Callable[[], Any], inputs: Array) -> Any:
            nonlocal count
            if layer.rate == 0:
                return run()
            count += 1
            active = nn.Dropout(layer.rate, layer.broadcast_dims, deterministic=False)
            return active.apply({}, inputs, rngs={"dropout": jax.random.fold_in(key, count)})

        with _each_dropout(drop):
            return self.predict(params, state, x)

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """See ``Definition``."""
        rates: list[float] = []

        def record(layer: nn.Dropout, run: Callable[[], Any], inputs: Array) -> Any:
            del inputs
            rates.append(layer.rate)
            return run()

        with _each_dropout(record):
            # A new function in every call, because nothing is recorded where a trace is cached.
            jax.eval_shape(lambda *of_network: self.predict(*of_network), params, state, x)
        return tuple(rates)


def define(module: Any, variables: Any) -> tuple[Linen, PyTree, PyTree]:
    """Checks a Linen module and its variables.

    Returns:
      The definition, the parameters and the state.

    Raises:
      TypeError: if the module is not an instance of a Linen module.
      ValueError: if the variables have no collection ``params``.
    """
    if isinstance(module, type) and issubclass(module, nn.Module):
        name = module.__name__
        raise TypeError(
            f"Network got the class {name} in place of a module; write Network({name}(...), "
            "variables)"
        )
    if isinstance(module, Mapping) and isinstance(variables, nn.Module):
        raise TypeError("the arguments are swapped; write Network(module, variables)")
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"Network(module, variables) takes a flax.linen module, got {type(module).__name__}. "
            "For other networks use Network.from_nnx(model), Network.from_equinox(model) or "
            "Network.from_function(apply, params)."
        )
    if not isinstance(variables, Mapping) or "params" not in variables:
        raise ValueError(
            "Network(module, variables) takes the mapping that module.init returns, with the "
            "collection 'params'. If the module is not initialized yet, write variables = "
            "module.init(jax.random.key(0), x); for bare parameters write "
            "Network(module, {'params': params})."
        )
    state = {name: value for name, value in variables.items() if name != "params"}
    return Linen(Shared(module)), variables["params"], state


def training_hint() -> str:
    """Says what may be wrong if a module cannot be applied in inference mode."""
    return (
        "If it asks for a PRNG key or says that a collection is immutable, it is still in "
        f"training mode: name that call argument one of {', '.join(INFERENCE_ARGUMENTS)}. "
        "If a collection is missing, pass all that module.init returned."
    )


@contextlib.contextmanager
def _each_dropout(
    visit: Callable[[nn.Dropout, Callable[[], Any], Array], Any],
) -> Iterator[None]:
    """Within this block, ``visit`` replaces the calls of Dropout layers."""
    visiting = False

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        nonlocal visiting
        is_dropout = isinstance(context.module, nn.Dropout) and context.method_name == "__call__"
        if visiting or not is_dropout:
            return next_function(*args, **kwargs)
        visiting = True
        try:
            return visit(context.module, lambda: next_function(*args, **kwargs), args[0])
        finally:
            visiting = False

    with nn.intercept_methods(intercept):
        yield
