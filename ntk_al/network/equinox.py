"""Networks in Equinox: a model of one example, which is a pytree."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import jax
import numpy as np

from ntk_al.network.definition import Shared
from ntk_al.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Equinox:
    """The part of an Equinox model without arrays; its state is the arrays that are not real.

    Attributes:
      shared: the treedef and the leaves of that part.
      rates: the rates of dropout.
      key: how the model is called with a PRNG key: ``"no"``, ``"may"`` or ``"must"``.
    """

    shared: Shared
    rates: tuple[float, ...]
    key: str

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(self._static).__name__

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """See ``Definition``."""
        import equinox as eqx

        model = eqx.nn.inference_mode(self.model(params, state))
        arguments = {"key": None} if self.key == "must" else {}
        return jax.vmap(lambda example: model(example, **arguments))(x)

    def train(
        self, params: PyTree, state: PyTree, x: PyTree, key: Array, **arguments: Any
    ) -> tuple[Any, PyTree]:
        """See ``Definition``; every example gets a PRNG key of its own."""
        import equinox as eqx

        model = eqx.nn.inference_mode(self.model(params, state), value=False)
        return _with_keys(model, x, key, takes_key=self.key != "no", **arguments), state

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """See ``Definition``."""
        return self.train(params, state, x, key)[0]

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """See ``Definition``."""
        del params, state, x
        return self.rates

    def model(self, params: PyTree, state: PyTree) -> Any:
        """Returns the user's model with these arrays."""
        import equinox as eqx

        return eqx.combine(params, state, self._static)

    @property
    def _static(self) -> Any:
        structure, leaves = self.shared.value
        return jax.tree.unflatten(structure, leaves)


def define(model: Any) -> tuple[Equinox, PyTree, PyTree]:
    """Divides an Equinox model into parameters, other arrays and the rest.

    Returns:
      The definition, the parameters (all real arrays) and the state.

    Raises:
      TypeError: if ``model`` is not a callable instance of an Equinox module.
    """
    import equinox as eqx

    if isinstance(model, type):
        raise TypeError(
            f"Network.from_equinox got the class {model.__name__} in place of a model; write "
            f"{model.__name__}(..., key=jax.random.key(0))"
        )
    if not isinstance(model, eqx.Module) or not callable(model):
        raise TypeError(
            f"Network.from_equinox takes a callable equinox.Module, got {type(model).__name__}"
        )
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    state, static = eqx.partition(rest, lambda leaf: isinstance(leaf, jax.Array | np.ndarray))
    leaves, structure = jax.tree.flatten(static)
    layers = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, eqx.nn.Dropout))
    rates = tuple(
        float(layer.p) for layer in layers if isinstance(layer, eqx.nn.Dropout) and layer.p > 0
    )
    parameter = inspect.signature(type(model).__call__).parameters.get("key")
    key = "no"
    if parameter is not None:
        key = "must" if parameter.default is inspect.Parameter.empty else "may"
    return Equinox(Shared((structure, tuple(leaves))), rates, key), params, state


def _with_keys(model: Any, x: PyTree, key: Array, *, takes_key: bool, **arguments: Any) -> Any:
    if not takes_key:
        return jax.vmap(lambda example: model(example, **arguments))(x)
    keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))
    return jax.vmap(lambda example, key: model(example, key=key, **arguments))(x, keys)
