"""What the package knows of Flax Linen modules: inference or training, and calls from inside."""

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
"""Call arguments that switch a module to inference; those that a module has are passed to it."""

T = TypeVar("T")


def inference_arguments(module: nn.Module) -> dict[str, bool]:
    """The call arguments that switch this module to inference; none if it has no such argument."""
    parameters = inspect.signature(type(module).__call__).parameters
    return {name: value for name, value in INFERENCE_ARGUMENTS.items() if name in parameters}


def training_arguments(module: nn.Module) -> dict[str, bool]:
    """The same arguments, for training."""
    return {name: not value for name, value in inference_arguments(module).items()}


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of the ``__call__`` of a module.

    Attributes:
      module: the module that is called.
      args: its positional arguments.
      kwargs: its keyword arguments.
      run: makes the call, and returns its result.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    run: Callable[[], Any]


def calls_of(kind: type[T]) -> Callable[[Call], T | None]:
    """The ``match`` of ``intercept_calls`` that finds every call of modules of one kind."""
    return lambda call: call.module if isinstance(call.module, kind) else None


@contextlib.contextmanager
def intercept_calls(
    match: Callable[[Call], T | None], visit: Callable[[Call, T], Any]
) -> Iterator[None]:
    """Within this block, ``visit`` stands in for the matching calls of modules.

    Args:
      match: what ``visit`` needs to know of a call; ``None`` lets the call pass.
      visit: gets a call and its match, and returns the result that the caller sees. Calls that are
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
