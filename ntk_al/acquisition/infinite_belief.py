"""Posteriors under the kernels of infinitely wide networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ntk_al import kernels
from ntk_al.acquisition import look_ahead
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.kernels.infinite.gram import choose_head
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import GramBlocks


def blocks(candidates: CandidateSet, kind: str) -> GramBlocks:
    """Blocks of the kernel of the network's infinite-width twin, ``"ntk"`` or ``"nngp"``."""
    return kernels.infinite_blocks(
        candidates.network.module,
        candidates.x_labeled,
        candidates.x,
        head=head(candidates),
        kind=kind,
    )


def head(candidates: CandidateSet) -> str:
    """The head of that twin, which is chosen by the size of the problem."""
    num = len(candidates.x_labeled) + len(candidates.x)
    return choose_head(num, None, candidates.x.shape[1:])


def with_observed(
    candidates: CandidateSet, name: str, condition: Callable[[], Posterior]
) -> Posterior:
    """The belief after ``candidates.observed``: one rank-one update for each label that is new."""
    before = candidates.once(name, condition)
    latest: dict[tuple[tuple[int, int], ...], Posterior]
    latest = candidates.once(f"{name} after labels", dict)
    observed = candidates.observed
    seen = next((known for known in latest if known == observed[: len(known)]), ())
    belief = latest[seen] if seen else before
    if len(observed) > len(seen):
        rows, labels = np.transpose(observed[len(seen) :])
        belief = belief.observe(rows, labels, move_network=candidates.options.move_network)
        latest.clear()
        latest[observed] = belief
    return belief


def diagnostics(candidates: CandidateSet, belief: Posterior) -> dict[str, float]:
    """Ridge, condition number, and whether the twin's head was pooled (1) or flattened (0)."""
    pooled = float(head(candidates) == "pooled")
    return {**look_ahead.diagnostics(belief), "pooled_head": pooled}
