"""Makes neural-tangents 0.6.5 importable under current JAX.

No other file of the package imports neural-tangents. Version 0.6.5, from 2024, is the last release,
and JAX has since moved some names that it uses. This file puts them back where neural-tangents
looks for them. The library provides the infinite-width kernels and reference values for tests; the
empirical kernels of this package do not use it. Its finite-width implementations
``JACOBIAN_CONTRACTION`` and ``NTK_VECTOR_PRODUCTS`` work; ``STRUCTURED_DERIVATIVES`` does not.
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
"""A light installation: of the requirements, only frozendict and SciPy are imported, and JAX
installs SciPy anyway."""


@functools.cache
def load() -> types.ModuleType:
    """Imports neural-tangents, without TensorFlow.

    Raises:
      MissingExtraError: if neural-tangents is not installed.
      ImportError: if JAX has moved further names.
    """
    _put_back_moved_names()
    # Its subpackage `experimental` would import TensorFlow and is not needed here.
    sys.modules.setdefault(
        "neural_tangents.experimental", types.ModuleType("neural_tangents.experimental")
    )
    with extras.needed(
        "infinite-width kernels need",
        "neural-tangents",
        extra="infinite",
        hint=f"or, to avoid installing TensorFlow with it: {LIGHT_INSTALLATION}",
    ):
        return importlib.import_module("neural_tangents")


def _put_back_moved_names() -> None:
    import jax.core
    import jax.extend.core
    import jax.interpreters.ad

    for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var"):
        _set_missing(jax.core, name, getattr(jax.extend.core, name))
    # The library uses this primitive only as a table key; current JAX programs never contain it.
    _set_missing(jax.interpreters.ad, "zeros_like_p", jax.extend.core.Primitive("zeros_like"))
    # Some releases have this module without the two functions, and later ones have no such module.
    try:
        util = importlib.import_module("jax.util")
    except ModuleNotFoundError:
        util = types.ModuleType("jax.util")
        sys.modules["jax.util"] = util
        _set_missing(jax, "util", util)
    _set_missing(util, "safe_map", _safe_map)
    _set_missing(util, "safe_zip", _safe_zip)


def _set_missing(module: types.ModuleType, name: str, value: object) -> None:
    if not hasattr(module, name):
        setattr(module, name, value)


def _safe_map(function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
    return [function(*arguments) for arguments in zip(*sequences, strict=True)]


def _safe_zip(*sequences: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*sequences, strict=True))
