"""Gives back the model from which a network was made, with the network's arrays."""

from __future__ import annotations

from typing import Any

from ntk_al.network import Network
from ntk_al.network.equinox import Equinox
from ntk_al.network.nnx import Nnx


def to_nnx(network: Network) -> Any:
    """Returns an NNX model with the parameters and the state of a network.

    Args:
      network: a network from ``Network.from_nnx``.

    Returns:
      A new model of the same class, in the mode (training or evaluation) in which the original was
      given.

    Raises:
      TypeError: if the network was not made from an NNX model.
    """
    return _model(network, Nnx, "from_nnx")


def to_equinox(network: Network) -> Any:
    """Returns an Equinox model with the parameters of a network.

    Args:
      network: a network from ``Network.from_equinox``.

    Returns:
      A new model of the same class.

    Raises:
      TypeError: if the network was not made from an Equinox model.
    """
    return _model(network, Equinox, "from_equinox")


def _model(network: Network, kind: type[Nnx] | type[Equinox], maker: str) -> Any:
    if not isinstance(network.definition, kind):
        raise TypeError(
            f"the network {network.name} was not made by Network.{maker}; a Linen module keeps its "
            "arrays in network.variables, and every network has its parameters in network.params"
        )
    return network.definition.model(network.params, network.state)
