"""One-step look-ahead: one step of SGD on each candidate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.acquisition import retraining
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.network import Network
from ntk_al.types import Array, PyTree


def one_step(key: Array, candidates: CandidateSet) -> Utilities:
    """``options.criterion`` after one step of SGD on the candidate ("NN 1-step" of the paper).

    The step is θ' = θ − η ∇ Σ_c (f_c(x_j) − y_c)², where η is the learning rate of
    ``options.retraining``. The paper does not specify the step, so this is the simplest one: the
    squared loss, no momentum, no weight decay, and BatchNorm in inference mode. Nothing is
    linearized. Labels that are revealed within a query do not change θ.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    step = jnp.float32(candidates.options.retraining.learning_rate)

    def train(example: np.ndarray, label: int) -> Network:
        params = _stepped(candidates.network, jnp.asarray(example), label, step)
        return candidates.network.with_params(params)

    return Utilities(retraining.scores(candidates, train))


@jax.jit
def _stepped(network: Network, example: Array, label: Array, step: Array) -> PyTree:
    def loss(params: PyTree) -> Array:
        logits = network.with_params(params).logits(example[None])[0]
        return jnp.square(logits - jax.nn.one_hot(label, len(logits), dtype=logits.dtype)).sum()

    gradient = jax.grad(loss)(network.params)
    return jax.tree.map(lambda p, g: p - step * g, network.params, gradient)
