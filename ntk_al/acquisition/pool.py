"""The pool: which examples are labeled. Examples keep their ids; updates return a new pool."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from ntk_al._utils import checks
from ntk_al.types import Array, ArrayLike


@dataclasses.dataclass(frozen=True)
class Pool:
    """Keeps track of which examples are labeled. An example's id is its row in the training set.

    Attributes:
      num_examples: N; ids are 0..N−1.
      labeled: ids in the order in which they were labeled, ``[L]``.

    Examples:
      >>> pool = Pool(num_examples=4, labeled=np.array([2])).label([0])
      >>> pool.labeled.tolist(), pool.unlabeled.tolist()
      ([2, 0], [1, 3])
    """

    num_examples: int
    labeled: np.ndarray

    @classmethod
    def start(cls, key: Array, num_examples: int, init_size: int) -> Pool:
        """Creates a pool with initial labeled examples, drawn uniformly without replacement.

        Args:
          key: PRNG key of the draw.
          num_examples: N.
          init_size: how many examples are labeled at first.

        Raises:
          TypeError: if ``key`` is not a PRNG key.
          ValueError: if ``init_size`` is not in 1..N.
        """
        checks.key("key", key)
        if not 1 <= init_size <= num_examples:
            raise ValueError(f"init_size must be in 1..{num_examples}, got {init_size}")
        chosen = jax.random.permutation(key, num_examples)[:init_size]
        return cls(num_examples, np.asarray(chosen, np.int64))

    @property
    def unlabeled(self) -> np.ndarray:
        """Ids of the examples without a label, ascending, ``[N − L]``."""
        mask = np.ones(self.num_examples, bool)
        mask[self.labeled] = False
        return np.flatnonzero(mask)

    def label(self, ids: ArrayLike) -> Pool:
        """Returns the pool after further examples are labeled.

        Args:
          ids: their ids, in order.

        Raises:
          ValueError: if ids repeat, are out of range, or are labeled already.
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
        """Draws a uniform random subset of the unlabeled examples.

        Pools that differ in few labels get subsets that differ in few examples, so strategies that
        are compared with the same key choose from almost the same candidates.

        Args:
          key: PRNG key of the draw.
          size: how many examples to draw.

        Returns:
          Their ids, ascending, ``[size]``.

        Raises:
          TypeError: if ``key`` is not a PRNG key.
          ValueError: if ``size`` < 1 or fewer than ``size`` examples are unlabeled.
        """
        checks.key("key", key)
        unlabeled = self.unlabeled
        if not 1 <= size <= unlabeled.size:
            raise ValueError(
                f"a subset of {size} cannot be drawn from {unlabeled.size} unlabeled examples"
            )
        # All examples are shuffled, because a shuffle of each new number would be compiled.
        order = np.asarray(jax.random.permutation(key, self.num_examples))
        return np.sort(order[np.isin(order, unlabeled)][:size]).astype(np.int64)
