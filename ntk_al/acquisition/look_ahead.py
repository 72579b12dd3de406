"""Strategies that ask what the linearized network would become."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from ntk_al.acquisition.candidates import CandidateSet, Selection
from ntk_al.acquisition.strategy import Strategy, Utility, ranked
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Factor, Posterior
from ntk_al.types import Array


def network_outputs(candidates: CandidateSet) -> Array:
    """The outputs f at the candidates, ``[U, C]``, whose argmax is the pseudo-label."""
    return candidates.network_logits


def look_ahead(
    utility: Utility,
    *,
    needs: tuple[str, ...] = (),
    outputs: Callable[[CandidateSet], Array] = network_outputs,
) -> Strategy:
    """The strategy of a utility that sees labels: its batches follow ``options.batch_mode``.

    A greedy batch is a sequential query whose labels are the network's own: each pick is absorbed
    with its pseudo-label, argmax f(x_j), before the next is scored, so that near copies of a pick
    are no longer worth a label. The paper takes the k highest scores. ``outputs`` are what
    pseudo-labels come from, where that is not the network.
    """
    strategy = ranked(utility, needs=needs)

    def choose(key: Array, candidates: CandidateSet, k: int) -> Selection:
        if candidates.options.batch_mode == "top_k":
            return strategy(key, candidates, k)
        row_of = {int(i): row for row, i in enumerate(candidates.ids)}
        picks = []
        for step in range(k):
            step_key = jax.random.fold_in(key, step) if step else key
            picks.append(strategy(step_key, candidates, 1))
            row = row_of[int(picks[-1].ids[0])]
            if step + 1 < k:
                label = int(np.asarray(outputs(candidates))[row].argmax())
                candidates = candidates.observe(row, label)
        return dataclasses.replace(picks[0], ids=np.concatenate([pick.ids for pick in picks]))

    return Strategy(choose, needs)


def diagnostics(fitted: Posterior | FullPosterior | Factor) -> dict[str, float]:
    """Facts of a factorization, for the record."""
    return {
        "ridge": float(f"{fitted.ridge:.6g}"),
        "condition_number": float(f"{fitted.condition_number:.6g}"),
    }
