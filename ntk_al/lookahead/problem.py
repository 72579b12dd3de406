"""The inputs of a look-ahead: a network, its labels, the candidates and the evaluation points."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks, examples, sharding
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import Network
from ntk_al.types import Array, ArrayLike, PyTree


@dataclasses.dataclass(frozen=True)
class Problem:
    """The checked inputs of a look-ahead, with the network's outputs at each of them.

    Attributes:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      targets: Y, ``[L, C]``.
      residual: R = Y − f(X_L), ``[L, C]``.
      x_pool: candidates, ``[U, ...]``.
      pool_logits: f at the candidates, ``[U, C]``.
      x_eval: points at which changes are measured, ``[E, ...]``; ``None`` means the candidates.
      eval_logits: f at the evaluation points, ``[E, C]``; ``None`` if they are the candidates.
      distance: the mean distance to the targets of a network that has learned nothing.
    """

    network: Network
    x_labeled: PyTree
    targets: ArrayLike
    residual: Array
    x_pool: PyTree
    pool_logits: ArrayLike
    x_eval: PyTree | None = None
    eval_logits: ArrayLike | None = None
    distance: Array | float = 1.0

    @property
    def num_candidates(self) -> int | None:
        """U if ``with_one_set`` appends evaluation points; ``None`` if it appends nothing."""
        return None if self.x_eval is None else self.num_pool

    @property
    def num_pool(self) -> int:
        """U, the number of candidates."""
        return examples.count(self.x_pool)

    def with_one_set(self) -> Problem:
        """The problem whose pool is the candidates, followed by the evaluation points, if any."""
        if self.x_eval is None:
            return self
        assert self.eval_logits is not None
        return dataclasses.replace(
            self,
            x_pool=examples.stack([self.x_pool, self.x_eval]),
            pool_logits=examples.stack([self.pool_logits, self.eval_logits]),
            x_eval=None,
            eval_logits=None,
        )


def check_inputs(
    network: Network,
    x_labeled: PyTree,
    y_labeled: ArrayLike,
    x_pool: PyTree,
    x_eval: PyTree | None = None,
    *,
    task: str,
) -> Problem:
    """Checks every argument once and computes the network's outputs.

    Raises:
      TypeError: if ``network`` is not a ``Network``, or labels have a type that the task does not
        take.
      ValueError: if a set is empty, shapes or labels do not match, the outputs of the network do
        not fit the task, or values are not finite.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be an ntk_al.Network, got {type(network).__name__}. Wrap it: "
            "Network.from_nnx(model), Network.from_equinox(model), Network(module, variables) of "
            "Linen, or Network.from_function(apply, params)"
        )
    x_labeled, y_labeled, x_pool, x_eval = map(
        sharding.gathered, (examples.read(x_labeled), y_labeled, x_pool, x_eval)
    )
    sets = {"x_labeled": x_labeled, "x_pool": x_pool}
    if x_eval is not None:
        sets["x_eval"] = x_eval
    for name, x in sets.items():
        examples.check(name, x)
        examples.check_alike("x_labeled", x_labeled, name, x)
    num_outputs = network.check(x_labeled)
    TASKS[task].check(num_outputs)
    num_labeled = examples.count(x_labeled)
    targets = TASKS[task].targets("y_labeled", y_labeled, num_labeled, num_outputs)
    logits = {name: network.predict(x) for name, x in sets.items()}
    return Problem(
        network=network,
        x_labeled=x_labeled,
        targets=targets,
        residual=difference(targets, logits["x_labeled"]),
        x_pool=x_pool,
        pool_logits=logits["x_pool"],
        x_eval=x_eval,
        eval_logits=logits.get("x_eval"),
        distance=TASKS[task].distance(targets),
    )


def difference(targets: ArrayLike, logits: ArrayLike) -> Array:
    """Returns targets − logits; on the host, where nothing is compiled for the number of rows."""
    if checks.is_traced(targets, logits):
        return jnp.asarray(targets) - logits
    return jax.device_put(np.asarray(targets) - np.asarray(logits))
