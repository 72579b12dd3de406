"""The input of every comparison: accuracies of several strategies from the same seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from ntk_al._utils import checks

from . import arguments


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """Test accuracies of several strategies on one problem, from the same seeds.

    All strategies start a seed with the same labels and the same weights. The first number of
    labels is the one before the first query.

    Attributes:
      num_labeled: the numbers of labels at which accuracy was measured, ascending, ``[T]``.
      seeds: different integers, ``[S]``.
      accuracy: for each strategy, test accuracy in [0, 1] by seed and number of labels, ``[S, T]``.

    Raises:
      ValueError: if shapes do not match, numbers of labels do not ascend, seeds repeat, there is no
        strategy, or an accuracy is not a number in [0, 1].

    Examples:
      >>> accuracy = {"random": np.array([[0.5, 0.7]]), "mlmoc": np.array([[0.5, 0.8]])}
      >>> curves = Curves(np.array([10, 20]), seeds=np.array([0]), accuracy=accuracy)
      >>> curves.strategies
      ('random', 'mlmoc')
    """

    num_labeled: np.ndarray
    seeds: np.ndarray
    accuracy: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        num_labeled = np.array(self.num_labeled)
        seeds = np.array(self.seeds)
        _check_integers("num_labeled", num_labeled)
        _check_integers("seeds", seeds)
        if num_labeled[0] < 1 or (np.diff(num_labeled) <= 0).any():
            raise ValueError(f"num_labeled must be positive and ascend, got {num_labeled.tolist()}")
        if np.unique(seeds).size != seeds.size:
            raise ValueError(f"seeds must be different, got {seeds.tolist()}")
        if not self.accuracy:
            raise ValueError("accuracy must hold at least one strategy")
        shape = (seeds.size, num_labeled.size)
        accuracy = {name: _checked(name, own, shape) for name, own in self.accuracy.items()}
        object.__setattr__(self, "num_labeled", num_labeled)
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "accuracy", accuracy)

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies, in the order in which they were given."""
        return tuple(self.accuracy)

    def of(self, strategy: str) -> np.ndarray:
        """Returns the accuracies of one strategy, ``[S, T]``.

        Raises:
          ValueError: if the strategy is unknown; the message lists the known ones.
        """
        checks.one_of("strategy", strategy, self.accuracy)
        return self.accuracy[strategy]

    def select(
        self,
        strategies: Iterable[str] | None = None,
        seeds: Iterable[int] | None = None,
        max_labels: int | None = None,
    ) -> Curves:
        """Returns the curves of some strategies, for some seeds, up to a number of labels.

        The first number of labels always stays, because it is the one before the first query.

        Args:
          strategies: the strategies to keep, in their new order; by default all.
          seeds: the seeds to keep, in their new order; by default all.
          max_labels: the largest number of labels to keep; by default the last.

        Raises:
          ValueError: if a strategy or a seed is unknown, or nothing would be left.
        """
        names = self.strategies if strategies is None else tuple(strategies)
        kept = self.seeds.tolist() if seeds is None else list(seeds)
        unknown = sorted({*kept} - {*self.seeds.tolist()})
        if unknown:
            raise ValueError(f"unknown seeds {unknown}; known: {self.seeds.tolist()}")
        if max_labels is not None and max_labels < self.num_labeled[0]:
            raise ValueError(
                f"max_labels must be at least {self.num_labeled[0]}, the first number of labels, "
                f"got {max_labels}"
            )
        rows = np.array([self.seeds.tolist().index(seed) for seed in kept], int)
        columns = self.num_labeled <= (np.inf if max_labels is None else max_labels)
        return Curves(
            self.num_labeled[columns],
            self.seeds[rows],
            {name: self.of(name)[rows][:, columns] for name in names},
        )


def _check_integers(name: str, values: np.ndarray) -> None:
    """Raises ValueError unless the values are integers on one axis, at least one of them."""
    if values.ndim != 1 or not values.size or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"{name} must be a list of integers, at least one, got shape {values.shape} and dtype "
            f"{values.dtype}"
        )


def _checked(name: str, accuracy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns a copy of the accuracies of one strategy, in float64."""
    copy = arguments.finite(f"accuracy of {name!r}", np.array(accuracy))
    if copy.shape != shape:
        raise ValueError(
            f"accuracy of {name!r} must have shape {shape}, one row a seed and one column a number "
            f"of labels, got {copy.shape}"
        )
    if copy.min() < 0 or copy.max() > 1:
        raise ValueError(
            f"accuracy of {name!r} must be a fraction in [0, 1], got {copy.min()}..{copy.max()}"
        )
    return copy
