"""What some strategies need from a network, checked before anything is trained.

To add a requirement, write a function that says what is missing and add a row to ``NEEDS``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ntk_al._utils import checks
from ntk_al._utils.extras import MissingExtraError
from ntk_al.acquisition.strategy import Strategy
from ntk_al.kernels.infinite import neural_tangents_compat, twins
from ntk_al.models import MODELS, WithLossPrediction, has_stages, with_loss_prediction
from ntk_al.network import Network
from ntk_al.network.dropout import dropout_rates
from ntk_al.network.features import LackingError, check_last_features
from ntk_al.types import Array, ArrayLike


@dataclasses.dataclass(frozen=True)
class Need:
    """Something that a network must have.

    Attributes:
      lacking: maps a network, whose variables may be shapes, and inputs ``[N, ...]`` to a message
        that says what the network lacks, or to ``None`` if it lacks nothing.
      provide: maps a PRNG key, an untrained network and inputs to a network that has it; ``None``
        if only the user can provide it. A network that cannot have it is returned unchanged.
    """

    lacking: Callable[[Network, ArrayLike], str | None]
    provide: Callable[[Array, Network, ArrayLike], Network] | None = None


def features(network: Network, x: ArrayLike) -> str | None:
    """A last Dense layer, whose inputs are the features."""
    try:
        check_last_features(network, x)
    except LackingError as error:
        return str(error)
    return None


def dropout(network: Network, x: ArrayLike) -> str | None:
    """A Dropout layer with a rate above 0."""
    if any(rate > 0 for rate in dropout_rates(network, x)):
        return None
    return (
        f"the network {network.name} has no dropout; build it with a rate, such "
        "as dropout=0.1 (--dropout=0.1)"
    )


def infinite_twin(network: Network, x: ArrayLike) -> str | None:
    """A row for the module in ``kernels.TWINS``, which defines its infinite-width kernel."""
    del x
    try:
        twins.find(network.module)
        neural_tangents_compat.load()
    except (ValueError, MissingExtraError) as error:
        return str(error)
    return None


def loss_prediction(network: Network, x: ArrayLike) -> str | None:
    """A loss-prediction module attached to the network."""
    del x
    if isinstance(network.module, WithLossPrediction):
        return None
    names = ", ".join(sorted(name for name, model in MODELS.items() if has_stages(model)))
    return (
        f"the network {network.name} predicts no losses; wrap one that has stages "
        f"(of the models here: {names}) with models.with_loss_prediction before it is trained"
    )


def add_loss_prediction(key: Array, network: Network, x: ArrayLike) -> Network:
    """The network with a loss-prediction module beside it, if it has stages."""
    if not has_stages(network.module):
        return network
    return with_loss_prediction(key, network, x)


NEEDS: dict[str, Need] = {
    "features": Need(features),
    "dropout": Need(dropout),
    "infinite_twin": Need(infinite_twin),
    "loss_prediction": Need(loss_prediction, add_loss_prediction),
}


def provide(strategy: Strategy, key: Array, network: Network, x: ArrayLike) -> Network:
    """Adds what a strategy needs to an untrained network, as far as that can be added.

    Args:
      strategy: what the network is for.
      key: of the weights that are added.
      network: before it is trained.
      x: inputs, ``[N, ...]``; only their shape is used.
    """
    for need in strategy.needs:
        add = NEEDS[need].provide
        if add is not None and NEEDS[need].lacking(network, x):
            network = add(key, network, x)
    return network


def check(strategies: Mapping[str, Strategy], name: str, network: Network, x: ArrayLike) -> None:
    """Checks that a network has everything that a strategy needs.

    Args:
      strategies: all strategies by name, such as ``STRATEGIES``; the error message names those that
        would work.
      name: the name of the strategy to check.
      network: the network; its variables may be shapes, as ``jax.eval_shape`` returns them.
      x: inputs, ``[N, ...]``; only their shape and dtype are used.

    Raises:
      ValueError: if there is no such strategy, or the network lacks something; the message says
        what.
    """
    checks.one_of("strategy", name, strategies)
    missing = [lack for need in strategies[name].needs if (lack := NEEDS[need].lacking(network, x))]
    if missing:
        lacking = {need for need in NEEDS if NEEDS[need].lacking(network, x)}

        def working(lacking: set[str]) -> list[str]:
            return [n for n, s in strategies.items() if lacking.isdisjoint(s.needs)]

        work = working(lacking)
        message = (
            f"the strategy {name!r} cannot be used: {'; '.join(missing).rstrip('.')}. "
            f"With this network these work: {', '.join(work)}"
        )
        addable = {"loss_prediction"} if has_stages(network.module) else set()
        if more := [n for n in working(lacking - addable) if n not in work]:
            message += f"; and wrapped with models.with_loss_prediction {', '.join(more)}"
        raise ValueError(message)
