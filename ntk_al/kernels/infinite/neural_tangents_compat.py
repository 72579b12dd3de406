"""The one file that names neural-tangents: it makes version 0.6.5 importable under today's JAX.

That version (2024) is its last, and uses names that JAX has moved since. Here they are put back
where it looks for them. It serves as the oracle of the tests, and for infinite-width kernels; the
package's own kernels do not use it. The finite-width implementations ``JACOBIAN_CONTRACTION`` and
``NTK_VECTOR_PRODUCTS`` work; ``STRUCTURED_DERIVATIVES`` does not.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from ntk_al._utils import extras

LIGHT_INSTALLATION = "pip install --no-deps neural-tangents==0.6.5 frozendict"
"""All that is imported of its requirements; JAX brings SciPy."""


@functools.cache
def load() -> types.ModuleType:
    """Imports neural-tangents, without TensorFlow.

    Raises:
      MissingExtraError: it is not installed.
      ImportError: JAX has moved further names.
    """
    _put_back_moved_names()
    # Its subpackage `experimental` imports TensorFlow and is of no use here.
    sys.modules.setdefault(
        "neural_tangents.experimental", types.ModuleType("neural_tangents.experimental")
    )
    with extras.needed(
        "infinite-width kernels need",
        "neural-tangents",
        extra="infinite",
        hint=f"or without the TensorFlow that this brings: {LIGHT_INSTALLATION}",
    ):
        return importlib.import_module("neural_tangents")


def _put_back_moved_names() -> None:
    import jax.core
    import jax.extend.core
    import jax.interpreters.ad

    for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var"):
        _set_missing(jax.core, name, getattr(jax.extend.core, name))
    # It only keys a table with this primitive, which no traced program holds any more.
    _set_missing(jax.interpreters.ad, "zeros_like_p", jax.extend.core.Primitive("zeros_like"))
    if not hasattr(jax, "util"):
        util = types.ModuleType("jax.util")
        util.safe_map = _safe_map  # type: ignore[attr-defined]
        util.safe_zip = _safe_zip  # type: ignore[attr-defined]
        sys.modules["jax.util"] = util
        _set_missing(jax, "util", util)


def _set_missing(module: types.ModuleType, name: str, value: object) -> None:
    if not hasattr(module, name):
        setattr(module, name, value)


def _safe_map(function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
    return [function(*arguments) for arguments in zip(*sequences, strict=True)]


def _safe_zip(*sequences: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*sequences, strict=True))
