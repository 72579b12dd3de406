"""Small problems, written by hand or drawn at random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from experiments.statistics import Curves


def curves(num_labeled, **accuracy):
    """Curves of seeds 0, 1, ..., one row a seed."""
    num_seeds = len(next(iter(accuracy.values())))
    return Curves(num_labeled, np.arange(num_seeds), accuracy)


def after_a_query(**accuracy):
    """Curves with accuracy 0.5 at 10 labels, and the given ones ``[S]`` at 20."""
    rows = {name: np.stack([np.full(len(own), 0.5), own], 1) for name, own in accuracy.items()}
    return curves([10, 20], **rows)


@st.composite
def random_curves(draw):
    """Curves of three strategies that share their first column, with many ties."""
    num_seeds, num_budgets = draw(st.integers(2, 6)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    accuracy = rng.integers(50, 70, (3, num_seeds, num_budgets)) / 100
    accuracy[1:, :, 0] = accuracy[0, :, 0]
    num_labeled = np.cumsum(rng.integers(1, 20, num_budgets))
    return Curves(
        num_labeled, np.arange(num_seeds), dict(zip(("a", "b", "random"), accuracy, strict=True))
    )


def permuted(problem, seed):
    """The same curves with their seeds in another order."""
    return problem.select(seeds=np.random.default_rng(seed).permutation(problem.seeds))
