"""The PRNG keys of a run: each follows from the seed, the purpose and the cycle alone.

So strategies with one seed share what should be shared, and a run that was stopped goes on with the
keys that it would have had.
"""

from __future__ import annotations

import jax

from ntk_al.types import Array

PURPOSES = (
    "initial labels",
    "weights",
    "training",
    "subset",
    "query",
    "loss prediction",
    "evaluation points",
)
"""What keys are made for. The order is part of the definition of every run."""


def make(seed: int, purpose: str, cycle: int = 0) -> Array:
    """Makes the key of a purpose, one of ``PURPOSES``, in a cycle."""
    key = jax.random.fold_in(jax.random.key(seed), PURPOSES.index(purpose))
    return jax.random.fold_in(key, cycle)
