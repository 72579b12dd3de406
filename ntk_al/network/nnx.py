"""Networks in Flax NNX: a model that holds its own variables."""

from __future__ import annotations

import dataclasses
import inspect
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
        arguments = {**training_arguments(self.kind), **self._streams(key), **arguments}
        output = model(x, **arguments)
        return output, (state[0], _as_before(state[1], _split(model)[3]))

    def sample(self, params: PyTree, state: PyTree, x: PyTree, key: Array) -> Any:
        """See ``Definition``."""
        model = _merge(self.sampling, params, _reseeded(state, key))
        return model(x, **inference_arguments(self.kind), **self._streams(key))

    def dropout_rates(self, params: PyTree, state: PyTree, x: PyTree) -> tuple[float, ...]:
        """See ``Definition``."""
        del params, state, x
        return self.rates

    def model(self, params: PyTree, state: PyTree) -> Any:
        """Returns a model of the user's class, in the mode in which it was given."""
        return _merge(self.own, params, state)

    def _streams(self, key: Array) -> dict[str, Any]:
        """The argument ``rngs`` of a model that takes its PRNG keys at every call."""
        from flax import nnx

        takes = "rngs" in inspect.signature(self.kind.__call__).parameters
        return {"rngs": nnx.Rngs(key)} if takes else {}


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
    copy = nnx.clone(model)
    nnx.pop(copy, nnx.Intermediate)  # what a model has recorded of earlier calls
    own, params, keys, rest = _split(copy)

    def graph() -> Shared:
        return Shared(_split(copy)[0])

    copy.train()
    training = graph()
    copy.eval()
    inference = graph()
    rates = _switch_dropout_on(copy)
    definition = Nnx(type(model), Shared(own), inference, training, graph(), rates)
    return definition, params, (keys, rest)


def _split(model: Any) -> Any:
    """Splits a model into its graph, its parameters, its PRNG keys and the rest."""
    from flax import nnx

    return nnx.split(model, nnx.Param, nnx.RngKey, ...)


def _merge(graph: Shared, params: PyTree, state: PyTree) -> Any:
    """Makes a model with variables of its own, which a call may change."""
    from flax import nnx

    params, state = jax.tree.map(lambda leaf: leaf, (params, state))
    return nnx.merge(graph.value, params, *state)


def _as_before(before: PyTree, after: PyTree) -> PyTree:
    """Returns the state after a call, without what the call has added, such as intermediates."""
    from flax import nnx

    known = {path for path, _ in nnx.to_flat_state(before)}
    kept = [(path, value) for path, value in nnx.to_flat_state(after) if path in known]
    return nnx.from_flat_state(kept)


def _switch_dropout_on(model: Any) -> tuple[float, ...]:
    """Makes the dropout of a model active, whatever its calls say, and returns the rates."""
    from flax import nnx

    from ntk_al.network.active_dropout import ActiveDropout

    rates = []
    model.set_attributes(deterministic=False, raise_if_not_found=False)
    for _, module in list(nnx.iter_graph(model)):
        if isinstance(module, nnx.Dropout):
            rates.append(float(module.rate))
            if type(module) is nnx.Dropout:
                module.__class__ = ActiveDropout
        elif isinstance(module, nnx.MultiHeadAttention):
            rates.append(float(module.dropout_rate))
    return tuple(rate for rate in rates if rate > 0)


def _reseeded(state: PyTree, key: Array) -> PyTree:
    """Replaces every PRNG key of a model by one that is derived from ``key``."""
    keys, rest = state
    leaves, structure = jax.tree.flatten(keys)
    fresh = [
        jax.random.split(jax.random.fold_in(key, number), leaf.shape)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh), rest
