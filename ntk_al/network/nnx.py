"""Networks in Flax NNX: a model that holds its own variables."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from ntk_al.network.arguments import inference_arguments, training_arguments
from ntk_al.network.definition import Shared
from ntk_al.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Nnx:
    """The graphs of an NNX model in its modes; its state is a pair of PRNG keys and the rest.

    Attributes:
      kind: the class of the model.
      own: the graph in the mode in which the user gave the model.
      inference: the graph in inference mode.
      training: the graph in training mode.
      sampling: the graph in inference mode, but with dropout.
      rates: the rates of dropout.
    """

    kind: type
    own: Shared
    inference: Shared
    training: Shared
    sampling: Shared
    rates: tuple[float, ...]

    @property
    def name(self) -> str:
        """The class of the model."""
        return self.kind.__name__

    def predict(self, params: PyTree, state: PyTree, x: PyTree) -> Any:
        """See ``Definition``."""
        return _merge(self.inference, params, state)(x, **inference_arguments(self.kind))

    def train(
        self, params: PyTree, state: PyTree, x: PyTree, key: Array, **arguments: Any
    ) -> tuple[Any, PyTree]:
        """See ``Definition``; the PRNG keys of the model are replaced for this call."""
        model = _merge(self.training, params, _reseeded(state, key))
        output = model(x, **training_arguments(self.kind), **arguments)
        return output, (state[0], _split(model)[3])

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """See ``Definition``."""
        model = _merge(self.sampling, params, _reseeded(state, key))
        return model(x, **inference_arguments(self.kind))

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """See ``Definition``."""
        del params, state, x
        return self.rates

    def model(self, params: PyTree, state: PyTree) -> Any:
        """Returns a model of the user's class, in the mode in which it was given."""
        return _merge(self.own, params, state)


def define(model: Any) -> tuple[Nnx, PyTree, PyTree]:
    """Splits a copy of an NNX model; the model itself is not changed.

    Returns:
      The definition, the parameters (all ``nnx.Param``) and the state.

    Raises:
      TypeError: if ``model`` is not an instance of an NNX module.
    """
    from flax import nnx

    if isinstance(model, type) and issubclass(model, nnx.Module):
        raise TypeError(
            f"Network.from_nnx got the class {model.__name__} in place of a model; write "
            f"{model.__name__}(..., rngs=nnx.Rngs(0))"
        )
    if not isinstance(model, nnx.Module):
        raise TypeError(f"Network.from_nnx takes a flax.nnx model, got {type(model).__name__}")
    own, params, keys, rest = _split(model)
    copy = nnx.merge(own, params, keys, rest)
    rates = tuple(
        float(module.rate)
        for _, module in nnx.iter_modules(copy)
        if isinstance(module, nnx.Dropout) and module.rate > 0
    )

    def graph() -> Shared:
        return Shared(_split(copy)[0])

    copy.eval()
    inference = graph()
    copy.set_attributes(deterministic=False, raise_if_not_found=False)
    sampling = graph()
    copy.train()
    definition = Nnx(type(model), Shared(own), inference, graph(), sampling, rates)
    return definition, params, (keys, rest)


def _split(model: Any) -> Any:
    """Splits a model into its graph, its parameters, its PRNG keys and the rest."""
    from flax import nnx

    return nnx.split(model, nnx.Param, nnx.RngKey, ...)


def _merge(graph: Shared, params: PyTree, state: PyTree) -> Any:
    from flax import nnx

    return nnx.merge(graph.value, params, *state)


def _reseeded(state: PyTree, key: Array) -> PyTree:
    """Replaces every PRNG key of a model by one that is derived from ``key``."""
    keys, rest = state
    leaves, structure = jax.tree.flatten(keys)
    fresh = [
        jax.random.split(jax.random.fold_in(key, number), leaf.shape)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh), rest
