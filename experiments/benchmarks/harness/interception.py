"""Puts something around compiled programs for a while, to see each of their calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import jax


@contextlib.contextmanager
def around(modules: list[ModuleType], wrap: Callable[[str, Any], Any]) -> Iterator[None]:
    """Replaces each compiled program of some modules inside the block.

    Args:
      modules: where the programs are; other modules must call them by their module.
      wrap: makes what replaces a program, from its name and the program.
    """
    originals = [
        (module, name, program)
        for module in modules
        for name, program in vars(module).items()
        if callable(program) and hasattr(program, "lower")
    ]
    try:
        for module, name, program in originals:
            replacement = wrap(name, program)
            replacement.lower = program.lower
            setattr(module, name, replacement)
        yield
    finally:
        for module, name, program in originals:
            setattr(module, name, program)


def signature(arguments: Any) -> Any:
    """Returns what tells the compiled form of a call from others of the same program."""

    def of(leaf: Any) -> Any:
        if not hasattr(leaf, "dtype"):
            return leaf
        return leaf.shape, str(leaf.dtype), getattr(leaf, "sharding", None)

    leaves, structure = jax.tree.flatten(arguments)
    return structure, *map(of, leaves)
