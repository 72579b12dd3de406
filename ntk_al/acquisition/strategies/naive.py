"""Naive retraining: the plain method that the kernel replaces."""

from __future__ import annotations

import numpy as np

from ntk_al import training
from ntk_al.acquisition import retraining
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities
from ntk_al.network import Network
from ntk_al.types import Array


def naive(key: Array, candidates: CandidateSet) -> Utilities:
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

    return Utilities(retraining.scores(candidates, train))
