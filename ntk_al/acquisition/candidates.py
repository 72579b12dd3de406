"""What a strategy is given."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np

from ntk_al._utils import checks
from ntk_al.acquisition.memo import Memo
from ntk_al.acquisition.options import LookaheadOptions
from ntk_al.lookahead import scoring
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.options import ALL_LOGITS
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem
from ntk_al.network import Network
from ntk_al.network.features import last_features
from ntk_al.types import Array, ArrayLike, GramBlocks

T = TypeVar("T")
Belief = TypeVar("Belief", Posterior, FullPosterior, Posterior | FullPosterior)


@dataclasses.dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates of one query, and all that is known when it is made.

    Outputs, features and posteriors are computed when a strategy first asks for them, and once for
    all sets that ``observe`` makes of this one.

    Attributes:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids ``[L]`` or targets ``[L, C]``.
      x: candidates, ``[U, ...]``.
      ids: their stable example ids, ``[U]``, all different.
      options: choices of the look-ahead strategies.
      x_eval: points at which look-ahead strategies measure changes, ``[E, ...]``; ``None`` means
        the candidates.
      observed: rows that were labeled within this query, and their labels, in order.
      start: this query before any of its labels was revealed; ``None`` if none was. ``observe``
        sets it.

    Raises:
      ValueError: inputs that do not fit each other, ids that repeat, or a set with revealed labels
        whose inputs were replaced.
    """

    network: Network
    x_labeled: ArrayLike
    y_labeled: ArrayLike
    x: ArrayLike
    ids: np.ndarray
    options: LookaheadOptions = dataclasses.field(default_factory=LookaheadOptions)
    x_eval: ArrayLike | None = None
    observed: tuple[tuple[int, int], ...] = ()
    start: CandidateSet | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.start is not None:
            inputs = ("network", "x_labeled", "y_labeled", "x", "ids", "options", "x_eval")
            if any(getattr(self, name) is not getattr(self.start, name) for name in inputs):
                raise ValueError(
                    "labels were revealed within this query, so its inputs and options stay as "
                    "they are: make a new CandidateSet"
                )
            return  # checked when the query was made
        sets = {"x_labeled": self.x_labeled, "the candidates": self.x}
        if self.x_eval is not None:
            sets["x_eval"] = self.x_eval
        for name, x in sets.items():
            checks.inputs(name, x)
            checks.same_example_shape("x_labeled", self.x_labeled, name, x)
        if np.shape(self.ids) != (len(self.x),) or np.unique(self.ids).size != len(self.x):
            raise ValueError(
                f"ids must be {len(self.x)} different integers, one for each candidate, "
                f"got shape {np.shape(self.ids)}"
            )

    @property
    def available(self) -> np.ndarray:
        """Which candidates may still be queried, ``[U]``."""
        mask = np.ones(len(self.x), bool)
        mask[self.observed_rows] = False
        return mask

    @property
    def observed_rows(self) -> list[int]:
        """Rows that were labeled within this query, in order."""
        return [row for row, _ in self.observed]

    def observe(self, row: int, label: int) -> CandidateSet:
        """The candidates after the label of one was revealed."""
        return dataclasses.replace(
            self, observed=(*self.observed, (row, label)), start=self.start or self
        )

    def check_choice(self, k: int) -> None:
        """Raises ValueError unless k candidates can be chosen."""
        left = int(self.available.sum())
        if not 1 <= k <= left:
            raise ValueError(f"cannot choose {k} of {left} candidates")

    @functools.cached_property
    def _memo(self) -> Memo:
        return Memo(self) if self.start is None else self.start._memo

    def once(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """``function(candidates, *arguments)`` before any label was revealed; computed once."""
        return self._memo.once(function, *arguments)

    def conditioned(self, condition: Callable[[CandidateSet], Belief]) -> Belief:
        """A posterior with every label seen so far.

        Args:
          condition: the candidates before any label was revealed, to the posterior at
            ``query_points`` or at the candidates. Labels that came since are rank-one updates, each
            made once.
        """

        def absorb(belief: Belief, labels: tuple[tuple[int, int], ...]) -> Belief:
            rows, classes = np.transpose(labels)
            return belief.observe(rows, classes, move_network=self.options.move_network)

        return self._memo.absorbed(condition, self.observed, absorb)

    @property
    def logits(self) -> Array:
        """Outputs at the candidates, ``[U, C]``: the posterior mean once labels were revealed."""
        return self.posterior.mean[: len(self.x)] if self.observed else self.network_logits

    @property
    def network_logits(self) -> Array:
        """Outputs of the network at the candidates, whatever was observed since, ``[U, C]``."""
        return self.once(_pool_logits)

    @property
    def labeled_logits(self) -> Array:
        """Outputs of the network at the points labeled before the query, ``[L, C]``."""
        return self.once(_labeled_logits)

    @property
    def features(self) -> np.ndarray:
        """Input of the network's last layer at the candidates, ``[U, d]``."""
        return self.once(_features)

    @property
    def labeled_features(self) -> np.ndarray:
        """The same at all labeled points, those labeled within this query last, ``[L, d]``."""
        return np.concatenate([self.once(_labeled_features), self.features[self.observed_rows]])

    @property
    def x_known(self) -> np.ndarray:
        """All labeled inputs, those labeled within this query last, ``[L, ...]``."""
        return np.concatenate([np.asarray(self.x_labeled), np.asarray(self.x)[self.observed_rows]])

    @property
    def y_known(self) -> np.ndarray:
        """Their targets, ``[L, C]``."""
        num_classes = self.network_logits.shape[1]
        targets = checks.targets("y_labeled", self.y_labeled, len(self.x_labeled), num_classes)
        observed = np.eye(num_classes)[[label for _, label in self.observed]]
        return np.concatenate([np.asarray(targets), observed.astype(targets.dtype)])

    @property
    def residual(self) -> Array:
        """R = Y − f(X_L), ``[L, C]``."""
        logits = self.labeled_logits
        return checks.targets("y_labeled", self.y_labeled, *logits.shape) - logits

    @property
    def problem(self) -> Problem:
        """The look-ahead before any label was revealed."""
        return self.once(_problem)

    @property
    def blocks(self) -> GramBlocks:
        """Its kernel, from ``scoring.kernel_blocks``."""
        return self.once(_blocks)

    @property
    def posterior(self) -> Posterior | FullPosterior:
        """The retrained linearized network with every label seen so far.

        Its query points are the candidates and then, if there is ``x_eval``, the evaluation points.
        """
        return self.conditioned(_condition)


@dataclasses.dataclass(frozen=True)
class Selection:
    """The answer of a strategy.

    Attributes:
      ids: stable ids of the chosen candidates, best first, ``[k]``.
      utilities: utility of every candidate, ``[U]``, higher = queried first; −inf where a candidate
        may not be queried.
      diagnostics: facts for the record, such as the ridge that was used.
    """

    ids: np.ndarray
    utilities: np.ndarray
    diagnostics: dict[str, float] = dataclasses.field(default_factory=dict)


def _pool_logits(given: CandidateSet) -> Array:
    return given.network.predict(given.x)


def _labeled_logits(given: CandidateSet) -> Array:
    return given.network.predict(given.x_labeled)


def _features(given: CandidateSet) -> np.ndarray:
    return np.asarray(last_features(given.network, given.x))


def _labeled_features(given: CandidateSet) -> np.ndarray:
    return np.asarray(last_features(given.network, given.x_labeled))


def _problem(given: CandidateSet) -> Problem:
    return Problem(
        network=given.network,
        x_labeled=given.x_labeled,
        residual=given.residual,
        x_pool=given.x,
        pool_logits=given.network_logits,
        x_eval=given.x_eval,
        eval_logits=None if given.x_eval is None else given.network.predict(given.x_eval),
    )


def _blocks(given: CandidateSet) -> GramBlocks:
    return scoring.kernel_blocks(given.problem, given.options)


def _condition(given: CandidateSet) -> Posterior | FullPosterior:
    """The posterior before any label was revealed."""
    tiled = given.x_eval is None and given.options.readout != ALL_LOGITS
    return scoring.condition(given.problem, given.options, given.blocks if tiled else None)
