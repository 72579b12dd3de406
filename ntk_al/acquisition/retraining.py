"""Look-ahead by real training: the plain method that the kernel replaces, and a single step of it.

For every candidate and every label that the criterion considers, the network is trained from the
weights that it has, and its outputs at all candidates are compared with those of before. Nothing
is linearised, and nothing is cheap: cost grows with U trainings, times C for expectations.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al import training
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.criteria import CRITERIA, Evaluation, Retrained
from ntk_al.network import Network
from ntk_al.types import Array, PyTree

Train = Callable[[np.ndarray, int], Network]
"""An input and a class id for it to the network that was trained with it."""


def naive(key: Array, candidates: CandidateSet) -> tuple[np.ndarray, dict[str, float]]:
    """``options.criterion`` after real retraining on each candidate (Section 2 of the paper).

    Every training starts from the network's own weights, on the labeled set and the candidate, as
    ``options.retraining`` says; the paper names 15 epochs in Section 4, and leaves the rest open:
    here it is the training of the experiment. One key serves for all of them, so that neither the
    order of the examples nor their augmentation is a reason for scores to differ.

    Raises:
      ValueError: labels that are real targets, and not class ids.
    """
    if np.ndim(candidates.y_labeled) != 1:
        raise ValueError("naive retraining needs class ids [L], and the labels are real targets")
    x = candidates.x_known
    observed = [label for _, label in candidates.observed]
    y = np.append(np.asarray(candidates.y_labeled), observed).astype(np.int32)

    def train(example: np.ndarray, label: int) -> Network:
        network, _ = training.fit(
            key,
            candidates.network,
            np.concatenate([x, example[None]]),
            np.append(y, np.int32(label)),
            candidates.options.retraining,
        )
        return network

    return _scores(candidates, train), {}


def one_step(key: Array, candidates: CandidateSet) -> tuple[np.ndarray, dict[str, float]]:
    """``options.criterion`` after one step of SGD on the candidate ("NN 1-step" of the paper).

    θ' = θ − η ∇ Σ_c (f_c(x_j) − y_c)², with the rate η of ``options.retraining``. The paper leaves
    the step open; here it is the plainest one: the squared loss, no momentum, no decay, BatchNorm
    in inference mode, nothing linearised. Labels that come within a query do not move θ.
    """
    del key
    step = jnp.float32(candidates.options.retraining.learning_rate)

    def train(example: np.ndarray, label: int) -> Network:
        params = _stepped(candidates.network, jnp.asarray(example), label, step)
        return candidates.network.replace_params(params)

    return _scores(candidates, train), {}


def _scores(candidates: CandidateSet, train: Train) -> np.ndarray:
    """The criterion at every available candidate, ``[U]``; −inf elsewhere."""
    criterion = CRITERIA[candidates.options.criterion]
    before = candidates.network_logits
    evaluation = Evaluation(before, jnp.zeros_like(before))
    probabilities = np.asarray(jax.nn.softmax(before))
    scores = np.full(len(before), -np.inf)
    for row in np.flatnonzero(candidates.available):
        weights = probabilities[row]
        if not criterion.expected:
            weights = np.eye(len(weights))[int(np.asarray(before)[row].argmax())]
        x = np.asarray(candidates.x[row])
        scores[row] = sum(
            weights[label]
            * float(
                criterion.measure(
                    evaluation,
                    Retrained(train(x, int(label)).predict(candidates.x), before[row]),
                    jnp.asarray(label),
                )
            )
            for label in np.flatnonzero(weights)
        )
    return scores


@jax.jit
def _stepped(network: Network, example: Array, label: Array, step: Array) -> PyTree:
    def loss(params: PyTree) -> Array:
        logits = network.replace_params(params).logits(example[None])[0]
        return jnp.square(logits - jax.nn.one_hot(label, len(logits), dtype=logits.dtype)).sum()

    gradient = jax.grad(loss)(network.params)
    return jax.tree.map(lambda p, g: p - step * g, network.params, gradient)
