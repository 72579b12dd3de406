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
      shared: that part, a model with ``None`` in place of every array.
      rates: the rates of dropout.
      key: how the model is called with a PRNG key: ``"no"``, ``"may"`` or ``"must"``.
    """

    shared: Shared
    rates: tuple[float, ...]
    key: str

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(self.shared.value).__name__

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """See ``Definition``; a model that must have a PRNG key may split it, but not use it."""
        import equinox as eqx

        model = eqx.nn.inference_mode(self.model(params, state))
        arguments = {"key": jax.random.key(0)} if self.key == "must" else {}
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

        return eqx.combine(params, state, self.shared.value)


def define(model: Any) -> tuple[Equinox, PyTree, PyTree]:
    """Divides an Equinox model into parameters, other arrays and the rest.

    Returns:
      The definition, the parameters (all real arrays) and the state.

    Raises:
      TypeError: if ``model`` is not a callable instance of an Equinox module, or must be called
        with a state.
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
    parameters = inspect.signature(type(model).__call__).parameters
    if "state" in parameters and parameters["state"].default is inspect.Parameter.empty:
        raise TypeError(
            f"the model {type(model).__name__} must be called with a state; bind the state to it: "
            "Network.from_equinox(eqx.Partial(eqx.nn.inference_mode(model), state=state), "
            "output=lambda out: out[0])"
        )
    params, rest = eqx.partition(model, _parameters(model))
    state, static = eqx.partition(rest, lambda leaf: isinstance(leaf, jax.Array | np.ndarray))
    layers = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, eqx.nn.Dropout))
    rates = tuple(
        float(layer.p) for layer in layers if isinstance(layer, eqx.nn.Dropout) and layer.p > 0
    )
    key = "no"
    if "key" in parameters:
        key = "must" if parameters["key"].default is inspect.Parameter.empty else "may"
    return Equinox(Shared(static), rates, key), params, state


def _parameters(model: Any) -> Any:
    """Marks the real arrays of a model, but none in its state, such as running statistics."""
    import equinox as eqx

    def of_node(node: Any) -> Any:
        return False if isinstance(node, eqx.nn.State) else eqx.is_inexact_array(node)

    return jax.tree.map(of_node, model, is_leaf=lambda node: isinstance(node, eqx.nn.State))


def _with_keys(model: Any, x: PyTree, key: Array, *, takes_key: bool, **arguments: Any) -> Any:
    if not takes_key:
        return jax.vmap(lambda example: model(example, **arguments))(x)
    keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))
    return jax.vmap(lambda example, key: model(example, key=key, **arguments))(x, keys)
