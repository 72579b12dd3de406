"""Who is labeled and who is not, by stable example id. Every update returns a new pool."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from ntk_al.types import Array, ArrayLike


@dataclasses.dataclass(frozen=True)
class Pool:
    """The state of the labels. An example's id is its row in the training arrays.

    Attributes:
      num_examples: N; ids are 0..N−1.
      labeled: ids in the order in which they were labeled, ``[L]``.
    """

    num_examples: int
    labeled: np.ndarray

    @classmethod
    def start(cls, key: Array, num_examples: int, init_size: int) -> Pool:
        """A pool with ``init_size`` labeled examples, drawn uniformly.

        Raises:
          ValueError: ``init_size`` is not in 1..N.
        """
        if not 1 <= init_size <= num_examples:
            raise ValueError(f"init_size must be in 1..{num_examples}, got {init_size}")
        chosen = jax.random.permutation(key, num_examples)[:init_size]
        return cls(num_examples, np.asarray(chosen, np.int64))

    @property
    def unlabeled(self) -> np.ndarray:
        """Ids that have no label yet, ascending, ``[N − L]``."""
        mask = np.ones(self.num_examples, bool)
        mask[self.labeled] = False
        return np.flatnonzero(mask)

    def label(self, ids: ArrayLike) -> Pool:
        """The pool after ``ids`` were labeled.

        Raises:
          ValueError: ids that repeat, are out of range, or have a label already.
        """
        ids = np.asarray(ids, np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.num_examples):
            raise ValueError(
                f"ids must be in 0..{self.num_examples - 1}, got {ids.min()}..{ids.max()}"
            )
        if np.unique(ids).size != ids.size:
            raise ValueError("an id was given twice")
        again = np.intersect1d(ids, self.labeled)
        if again.size:
            raise ValueError(f"{again.size} ids are labeled already, the first is {again[0]}")
        return Pool(self.num_examples, np.concatenate([self.labeled, ids]))

    def subset(self, key: Array, size: int) -> np.ndarray:
        """Ids of a uniform random subset of the unlabeled examples, ascending, ``[size]``.

        Raises:
          ValueError: fewer than ``size`` examples are unlabeled.
        """
        unlabeled = self.unlabeled
        if not 1 <= size <= unlabeled.size:
            raise ValueError(
                f"a subset of {size} cannot be drawn from {unlabeled.size} unlabeled examples"
            )
        chosen = np.asarray(jax.random.permutation(key, unlabeled.size)[:size])
        return np.sort(unlabeled[chosen])
