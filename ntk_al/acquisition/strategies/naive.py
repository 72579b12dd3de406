"""Naive retraining, the expensive method that the kernel replaces."""

from __future__ import annotations

import numpy as np

from ntk_al import training
from ntk_al.acquisition import retraining
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.network import Network
from ntk_al.types import Array


def naive(key: Array, candidates: CandidateSet) -> Utilities:
    """``options.criterion`` after really retraining with each candidate (Section 2 of the paper).

    Every training starts from the network's own weights and uses the labeled set and the candidate,
    with the settings of ``options.retraining``. Section 4 of the paper states 15 epochs and leaves
    the rest open; in the experiments, the other settings are those of the main training. All
    trainings use the same key, so that scores do not differ because of the order of the examples or
    their augmentation.

    Args:
      key: PRNG key of every training.
      candidates: the candidates.

    Raises:
      ValueError: if labels are probabilities instead of class ids.
    """
    if np.ndim(candidates.y_labeled) != 1:
        raise ValueError("naive retraining needs class ids [L], but the labels are probabilities")
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

    return Utilities(retraining.scores(candidates, train))
