"""Networks that are a plain function of parameters and inputs, from any library."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ntk_al.network.definition import Shared
from ntk_al.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Function:
    """A function ``apply(params, x)``, which has no state and no training mode."""

    shared: Shared

    @property
    def apply(self) -> Callable[..., Any]:
        """The function."""
        function: Callable[..., Any] = self.shared.value
        return function

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.apply, "__name__", type(self.apply).__name__)

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """See ``Definition``."""
        del state
        return self.apply(params, x)

    def train(
        self, params: PyTree, state: PyTree, x: PyTree, key: Array, **arguments: Any
    ) -> tuple[Any, PyTree]:
        """See ``Definition``."""
        del key
        return self.apply(params, x, **arguments), state

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """See ``Definition``."""
        del key
        return self.predict(params, state, x)

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """See ``Definition``; dropout inside a plain function cannot be seen."""
        del params, state, x
        return ()


def define(apply: Any, params: PyTree) -> tuple[Function, PyTree, PyTree]:
    """Checks a function and its parameters.

    Returns:
      The definition, the parameters and an empty state.

    Raises:
      TypeError: if ``apply`` is not callable; the message says if the arguments are swapped.
      ValueError: if ``params`` holds running statistics, which are not parameters.
    """
    if not callable(apply):
        swapped = callable(params)
        raise TypeError(
            "Network.from_function(apply, params) takes a function apply(params, x), got "
            f"{type(apply).__name__}" + ("; the arguments are swapped" if swapped else "")
        )
    if isinstance(params, Mapping) and {"params", "batch_stats"} <= set(params):
        raise ValueError(
            "Network.from_function takes the parameters alone, but params holds all variables of a "
            "module, and running statistics are not parameters. For a Linen module write "
            "Network(module, variables), otherwise from_function(lambda params, x: "
            "apply({**others, 'params': params}, x), variables['params'])"
        )
    return Function(Shared(apply)), params, ()
