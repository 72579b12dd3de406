"""Flax Linen modules: how to switch between inference and training, and how to intercept calls."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import flax.linen as nn

INFERENCE_ARGUMENTS: dict[str, bool] = {
    "train": False,
    "training": False,
    "is_training": False,
    "is_train": False,
    "deterministic": True,
    "use_running_average": True,
}
"""Call arguments that switch a module to inference. Each module is passed those that it has."""

T = TypeVar("T")


def inference_arguments(module: nn.Module) -> dict[str, bool]:
    """Returns the call arguments, possibly none, that switch this module to inference."""
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: value for name, value in INFERENCE_ARGUMENTS.items() if name in parameters}


def training_arguments(module: nn.Module) -> dict[str, bool]:
    """Returns the call arguments, possibly none, that switch this module to training."""
    return {name: not value for name, value in inference_arguments(module).items()}


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a module's ``__call__``.

    Attributes:
      module: the module that is called.
      args: the positional arguments of the call.
      kwargs: the keyword arguments of the call.
      run: makes the call and returns its result.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    run: Callable[[], Any]


def calls_of(kind: type[T]) -> Callable[[Call], T | None]:
    """Makes a ``match`` for ``intercept_calls`` that finds all calls of modules of one type."""
    return lambda call: call.module if isinstance(call.module, kind) else None


@contextlib.contextmanager
def intercept_calls(
    match: Callable[[Call], T | None], visit: Callable[[Call, T], Any]
) -> Iterator[None]:
    """Within this block, ``visit`` replaces the matching calls of modules.

    Args:
      match: returns what ``visit`` needs to know about a call, or ``None`` to let the call pass.
      visit: takes a call and its match, and returns the result that the caller sees. Calls that are
        made while it runs are not intercepted.
    """
    visiting = False

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        nonlocal visiting
        if visiting or context.method_name != "__call__":
            return next_function(*args, **kwargs)
        call = Call(context.module, args, kwargs, lambda: next_function(*args, **kwargs))
        matched = match(call)
        if matched is None:
            return call.run()
        visiting = True
        try:
            return visit(call, matched)
        finally:
            visiting = False

    with nn.intercept_methods(intercept):
        yield
