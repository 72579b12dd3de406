"""The input of a strategy: the candidates of one query and what may be known about them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import numpy as np

from ntk_al._utils import checks, float64
from ntk_al.acquisition.memo import Memo
from ntk_al.acquisition.options import LookaheadOptions
from ntk_al.lookahead import from_kernel, probabilities
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.lookahead.options import ALL_LOGITS
from ntk_al.lookahead.posterior import Posterior
from ntk_al.lookahead.problem import Problem, difference
from ntk_al.network import Network, Predictive
from ntk_al.network.features import last_features
from ntk_al.types import Array, ArrayLike, GramBlocks

T = TypeVar("T")
B = TypeVar("B", Posterior, FullPosterior, LandmarkPosterior, Belief)


@dataclasses.dataclass(frozen=True, eq=False)
class CandidateSet:
    """The candidates of one query, and everything a strategy may know about them.

    Outputs, features and posteriors are computed when a strategy first asks for them. They are
    computed once and shared with all sets that ``observe`` makes from this one.

    Attributes:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids ``[L]`` or probabilities of the classes ``[L, C]``.
      x: candidates, ``[U, ...]``.
      ids: their example ids, ``[U]``, all different. An example keeps its id from query to query.
      options: options of the look-ahead strategies.
      x_eval: points at which look-ahead strategies measure changes, ``[E, ...]``; ``None`` means
        the candidates.
      observed: pairs of a row that was labeled within this query and its label, in order.
      excluded: rows that may not be queried, although they have no label.
      num_assumed: how many of the latest ``observed`` are labels that a greedy batch assumes. They
        always move the network's outputs; what is revealed does so by ``options.move_network``.
      start: the same query before any of its labels was revealed or rows excluded, or ``None`` if
        none has been. Only ``observe`` and ``exclude`` set it.

    Raises:
      ValueError: if inputs do not match each other, ids repeat, or an input was replaced after
        labels were revealed.
    """

    network: Network
    x_labeled: ArrayLike
    y_labeled: ArrayLike
    x: ArrayLike
    ids: np.ndarray
    options: LookaheadOptions = dataclasses.field(default_factory=LookaheadOptions)
    x_eval: ArrayLike | None = None
    observed: tuple[tuple[int, int], ...] = ()
    excluded: tuple[int, ...] = ()
    num_assumed: int = 0
    start: CandidateSet | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.start is not None:
            inputs = ("network", "x_labeled", "y_labeled", "x", "ids", "options", "x_eval")
            if any(getattr(self, name) is not getattr(self.start, name) for name in inputs):
                raise ValueError(
                    "labels were revealed within this query, so its inputs and options can no "
                    "longer change: make a new CandidateSet"
                )
            return  # the inputs were checked when the query was created
        sets = {"x_labeled": self.x_labeled, "the candidates": self.x}
        if self.x_eval is not None:
            sets["x_eval"] = self.x_eval
        for name, x in sets.items():
            checks.inputs(name, x)
            checks.same_example_shape("x_labeled", self.x_labeled, name, x)
        num_classes = self.network.check(self.x_labeled)
        checks.one_output_a_class(num_classes)
        checks.class_targets("y_labeled", self.y_labeled, len(self.x_labeled), num_classes)
        _check_ids(self.ids, len(self.x))

    @property
    def available(self) -> np.ndarray:
        """A mask of the candidates that may still be queried, ``[U]``."""
        mask = np.ones(len(self.x), bool)
        mask[[*self.observed_rows, *self.excluded]] = False
        return mask

    @property
    def observed_rows(self) -> list[int]:
        """Rows that were labeled within this query, in order."""
        return [row for row, _ in self.observed]

    def observe(self, row: int, label: int, *, is_assumed: bool = False) -> CandidateSet:
        """Returns the candidates after the label of one of them is revealed.

        Args:
          row: the row of the candidate that was labeled.
          label: its class id.
          is_assumed: whether the label is one that a greedy batch assumes. None can be revealed
            afterwards.

        Raises:
          ValueError: if the row is not an available candidate, or the label is not a class id.
        """
        if not (0 <= row < len(self.x) and self.available[row]):
            raise ValueError(
                f"row must be one of the {int(self.available.sum())} available candidates, "
                f"of {len(self.x)} in all, got {row}"
            )
        checks.class_ids("label", np.asarray(label), self.network.check(self.x_labeled))
        if self.num_assumed and not is_assumed:
            raise ValueError("labels are assumed already, so none can be revealed any more")
        return dataclasses.replace(
            self,
            observed=(*self.observed, (row, label)),
            num_assumed=self.num_assumed + is_assumed,
            start=self.start or self,
        )

    def exclude(self, rows: Iterable[int]) -> CandidateSet:
        """Returns the candidates after some of them may no longer be queried.

        They stay evaluation points if the candidates are.

        Args:
          rows: the rows.

        Raises:
          ValueError: if a row is not that of a candidate.
        """
        added = tuple(int(row) for row in rows)
        if any(not 0 <= row < len(self.x) for row in added):
            raise ValueError(f"rows must be in 0..{len(self.x) - 1}, got {sorted(added)}")
        return dataclasses.replace(
            self, excluded=(*self.excluded, *added), start=self.start or self
        )

    @property
    def reference(self) -> str:
        """What changes are measured from, a member of ``REFERENCES``.

        Measured from f, the total change by all choices of a greedy batch would reward candidates
        that undo none of it, copies of the choices above all.
        """
        return "linearized" if self.num_assumed else self.options.reference

    def check_choice(self, k: int) -> None:
        """Raises ValueError if k < 1 or fewer than k candidates are available."""
        left = int(self.available.sum())
        if not 1 <= k <= left:
            raise ValueError(f"cannot choose {k} of {left} candidates")

    @functools.cached_property
    def _memo(self) -> Memo:
        return Memo(self) if self.start is None else self.start._memo

    def once(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """Computes ``function(start, *arguments)`` once, and then returns the same result.

        Args:
          function: a function of this query as it was before any label was revealed.
          *arguments: hashable arguments; for each combination the function is called once.
        """
        return self._memo.once(function, *arguments)

    def conditioned(self, condition: Callable[[CandidateSet], B]) -> B:
        """Returns a posterior that has absorbed every label revealed so far.

        Args:
          condition: maps the candidates, before any label was revealed, to a posterior whose first
            U query points are the candidates. Each label revealed since then is absorbed once, by a
            rank-one update.
        """

        def absorb(belief: B, labels: tuple[tuple[int, int, bool], ...]) -> B:
            for moves, alike in itertools.groupby(labels, key=lambda label: label[2]):
                rows, classes, _ = np.transpose(list(alike))
                belief = belief.observe(rows, classes, move_network=moves)
            return belief

        num_revealed = len(self.observed) - self.num_assumed
        labels = tuple(
            (row, label, self.options.move_network or number >= num_revealed)
            for number, (row, label) in enumerate(self.observed)
        )
        return self._memo.absorbed(condition, labels, absorb)

    @property
    def logits(self) -> Array:
        """Outputs at the candidates, ``[U, C]``.

        These are the network's outputs until a label is revealed within the query, and the
        posterior mean from then on.
        """
        if not self.observed:
            return self.network_logits
        return float64.to_default(self.posterior.mean[: len(self.x)])

    @property
    def network_logits(self) -> Array:
        """Outputs of the network at the candidates, regardless of revealed labels, ``[U, C]``."""
        return self.once(_pool_logits)

    @property
    def predictive(self) -> Predictive:
        """p(y | x) as a function of outputs, from ``options.predictive``, the network and labels.

        It is that of the network as it was trained; a label within the query does not change it.
        """
        return self.once(_predictive)

    @property
    def probabilities(self) -> np.ndarray:
        """p(y | x) at the candidates, from ``logits``, in float64, ``[U, C]``."""
        return np.asarray(self.predictive.probabilities(np.asarray(self.logits, np.float64)))

    @property
    def facts(self) -> dict[str, float]:
        """What is worth recording of the predictive distribution, if a strategy has used it."""
        if not self._memo.knows(_predictive) or self.predictive.simplex:
            return {}
        return {"temperature": float(f"{self.predictive.temperature:.4g}")}

    @property
    def labeled_logits(self) -> Array:
        """Outputs of the network at the points that were labeled before the query, ``[L, C]``."""
        return self.once(_labeled_logits)

    @property
    def features(self) -> np.ndarray:
        """Inputs of the network's last layer at the candidates, ``[U, d]``."""
        return self.once(_features)

    @property
    def labeled_features(self) -> np.ndarray:
        """Inputs of the last layer at all labeled points, ``[L, d]``.

        The points that were labeled within this query come last.
        """
        return np.concatenate([self.once(_labeled_features), self.features[self.observed_rows]])

    @property
    def x_known(self) -> np.ndarray:
        """All labeled inputs, ``[L, ...]``; those labeled within this query come last."""
        return np.concatenate([np.asarray(self.x_labeled), np.asarray(self.x[self.observed_rows])])

    @property
    def y_known(self) -> np.ndarray:
        """The targets of ``x_known``, ``[L, C]``."""
        num_classes = self.network_logits.shape[1]
        targets = checks.targets("y_labeled", self.y_labeled, len(self.x_labeled), num_classes)
        observed = np.eye(num_classes)[[label for _, label in self.observed]]
        return np.concatenate([np.asarray(targets), observed.astype(targets.dtype)])

    @property
    def residual(self) -> Array:
        """R = Y − f(X_L) before any label was revealed within the query, ``[L, C]``."""
        logits = self.labeled_logits
        return difference(checks.targets("y_labeled", self.y_labeled, *logits.shape), logits)

    @property
    def problem(self) -> Problem:
        """The inputs of a look-ahead before any label was revealed."""
        return self.once(_problem)

    @property
    def blocks(self) -> GramBlocks:
        """The kernel of ``problem``, from ``from_kernel.kernel_blocks``."""
        return self.once(_blocks)

    @property
    def posterior(self) -> Belief:
        """The retrained linearized network, given every label revealed so far.

        Its query points are the candidates, followed by the points of ``x_eval``, if any.
        """
        return self.conditioned(_condition)

    @property
    def needs_posterior(self) -> bool:
        """Whether scores are computed from a posterior, because there are no blocks of Θ."""
        return self.options.readout == ALL_LOGITS or self.takes_landmarks

    @property
    def takes_landmarks(self) -> bool:
        """Whether the covariance is approximated by landmarks."""
        if self.options.approximation == "none":
            return False
        return from_kernel.takes_landmarks(self.problem, self.options)

    @property
    def knows_posterior(self) -> bool:
        """Whether the posterior before any revealed label has been computed, or was given."""
        return self._memo.knows(_condition)

    def remember_posterior(self, posterior: Belief) -> None:
        """Sets the posterior before any label was revealed, which was computed earlier.

        Args:
          posterior: that of the same network, labels, candidates and options.
        """
        self._memo.remember(posterior, _condition)


def _pool_logits(given: CandidateSet) -> Array:
    return given.network.predict(given.x)


def _labeled_logits(given: CandidateSet) -> Array:
    return given.network.predict(given.x_labeled)


def _features(given: CandidateSet) -> np.ndarray:
    return np.asarray(last_features(given.network, given.x))


def _labeled_features(given: CandidateSet) -> np.ndarray:
    return np.asarray(last_features(given.network, given.x_labeled))


def _predictive(given: CandidateSet) -> Predictive:
    return probabilities.of_problem(given.problem, given.options.predictive, given.options.task)


def _problem(given: CandidateSet) -> Problem:
    return Problem(
        network=given.network,
        x_labeled=given.x_labeled,
        targets=checks.targets("y_labeled", given.y_labeled, *given.labeled_logits.shape),
        residual=given.residual,
        x_pool=given.x,
        pool_logits=given.network_logits,
        x_eval=given.x_eval,
        eval_logits=None if given.x_eval is None else given.network.predict(given.x_eval),
    )


def _blocks(given: CandidateSet) -> GramBlocks:
    return from_kernel.kernel_blocks(given.problem, given.options)


def _condition(given: CandidateSet) -> Belief:
    """Computes the posterior before any label was revealed."""
    tiled = given.x_eval is None and not given.needs_posterior
    return from_kernel.condition(given.problem, given.options, given.blocks if tiled else None)


def _check_ids(ids: np.ndarray, num: int) -> None:
    """Raises ValueError unless there are so many different ids that a PRNG key can be folded with.

    What is random belongs to an id, so an id that were cut to 32 bits would lose it silently.
    """
    ids = np.asarray(ids)
    if ids.shape != (num,) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"ids must be {num} different integers, one for each candidate, got shape {ids.shape} "
            f"and dtype {ids.dtype}"
        )
    if np.unique(ids).size != num:
        raise ValueError(f"ids must be {num} different integers, but some are equal")
    if ids.min() < 0 or ids.max() >= 2**32:
        raise ValueError(
            f"ids must be in 0..2^32 - 1, got {ids.min()}..{ids.max()}; number the examples, and "
            "keep your own keys in a list"
        )
