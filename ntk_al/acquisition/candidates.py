"""What a strategy is given, and what it gives back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ntk_al import kernels, lookahead
from ntk_al._utils import checks
from ntk_al.acquisition.options import LookaheadOptions
from ntk_al.lookahead import full_posterior, posterior
from ntk_al.lookahead.full_posterior import FullPosterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.network import Network
from ntk_al.network.features import last_features
from ntk_al.types import Array, ArrayLike

T = TypeVar("T")
Belief = TypeVar("Belief", Posterior, FullPosterior, Posterior | FullPosterior)


@dataclasses.dataclass(frozen=True)
class CandidateSet:
    """Candidates of one query, and all that is known when it is made.

    Logits and posterior are computed when a strategy first asks for them, and once.

    Attributes:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids ``[L]`` or targets ``[L, C]``.
      x: candidates, ``[U, ...]``.
      ids: their stable example ids, ``[U]``, all different.
      options: choices of the look-ahead strategies.
      observed: rows that were labeled within this query, and their labels, in order.
      belief: the posterior after ``observed``, where it is known already.
      memory: what was computed once for this query and no label of it changes; shared by all sets
        that ``observe`` makes, and empty in those of ``dataclasses.replace``.
    """

    network: Network
    x_labeled: ArrayLike
    y_labeled: ArrayLike
    x: ArrayLike
    ids: np.ndarray
    options: LookaheadOptions = dataclasses.field(default_factory=LookaheadOptions)
    observed: tuple[tuple[int, int], ...] = ()
    belief: Posterior | FullPosterior | None = None
    memory: dict[str, Any] = dataclasses.field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.observed:
            return  # checked when the set was made; a label changes none of it
        checks.inputs("x_labeled", self.x_labeled)
        checks.inputs("the candidates", self.x)
        checks.same_example_shape("x_labeled", self.x_labeled, "the candidates", self.x)
        if np.shape(self.ids) != (len(self.x),) or np.unique(self.ids).size != len(self.x):
            raise ValueError(
                f"ids must be {len(self.x)} different integers, one for each candidate, "
                f"got shape {np.shape(self.ids)}"
            )

    @property
    def available(self) -> np.ndarray:
        """Which candidates may still be queried, ``[U]``."""
        mask = np.ones(len(self.x), bool)
        mask[[row for row, _ in self.observed]] = False
        return mask

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What ``compute`` returns: computed when it is first asked for under this name.

        For what depends on the network and the inputs alone, and not on ``observed``.
        """
        if name not in self.memory:
            self.memory[name] = compute()
        result: T = self.memory[name]
        return result

    def check_choice(self, k: int) -> None:
        """Raises ValueError unless k candidates can be chosen."""
        left = int(self.available.sum())
        if not 1 <= k <= left:
            raise ValueError(f"cannot choose {k} of {left} candidates")

    @functools.cached_property
    def logits(self) -> Array:
        """Outputs at the candidates, ``[U, C]``: the posterior mean once labels came."""
        return self.posterior.mean if self.observed else self.network_logits

    @functools.cached_property
    def network_logits(self) -> Array:
        """Outputs of the network at the candidates, whatever was observed since, ``[U, C]``."""
        return self.once("logits", lambda: self.network.predict(self.x))

    @property
    def features(self) -> np.ndarray:
        """Input of the network's last layer at the candidates, ``[U, d]``."""
        return self.once("features", lambda: np.asarray(last_features(self.network, self.x)))

    @property
    def labeled_features(self) -> np.ndarray:
        """The same at all labeled points, those labeled within this query last, ``[L, d]``."""
        labeled = self.once(
            "labeled features",
            lambda: np.asarray(last_features(self.network, self.x_labeled)),
        )
        return np.concatenate([labeled, self.features[[row for row, _ in self.observed]]])

    @property
    def x_known(self) -> np.ndarray:
        """All labeled inputs, those labeled within this query last, ``[L, ...]``."""
        rows = [row for row, _ in self.observed]
        return np.concatenate([np.asarray(self.x_labeled), np.asarray(self.x)[rows]])

    @property
    def y_known(self) -> np.ndarray:
        """Their targets, ``[L, C]``."""
        num_classes = self.network_logits.shape[1]
        targets = checks.targets("y_labeled", self.y_labeled, len(self.x_labeled), num_classes)
        observed = np.eye(num_classes)[[label for _, label in self.observed]]
        return np.concatenate([np.asarray(targets), observed.astype(targets.dtype)])

    @functools.cached_property
    def posterior(self) -> Posterior | FullPosterior:
        """The retrained linearized network at the candidates, with every label seen so far."""
        if self.belief is not None:
            return self.belief
        return self.absorb(self.once("posterior", self._condition))

    def absorb(self, belief: Belief) -> Belief:
        """A posterior at the candidates, with the labels that came within this query."""
        if not self.observed:
            return belief
        rows, labels = np.transpose(self.observed)
        return belief.observe(rows, labels, move_network=self.options.move_network)

    def _condition(self) -> Posterior | FullPosterior:
        options = self.options
        if options.readout == lookahead.ALL_LOGITS:
            return full_posterior.condition(
                kernels.full_blocks(self.network, self.x_labeled, self.x),
                self.residual,
                self.network_logits,
                ridge=options.ridge,
            )
        blocks = kernels.blocks(
            self.network,
            self.x_labeled,
            self.x,
            readout=options.readout,
            precision=options.precision,
        )
        return posterior.condition(blocks, self.residual, self.network_logits, ridge=options.ridge)

    @property
    def residual(self) -> Array:
        """R = Y − f(X_L), ``[L, C]``."""
        logits = self.network.predict(self.x_labeled)
        return checks.targets("y_labeled", self.y_labeled, *logits.shape) - logits

    def observe(self, row: int, label: int) -> CandidateSet:
        """The candidates after one was labeled. A posterior that was computed is updated."""
        belief = None
        if "posterior" in self.__dict__:
            belief = self.posterior.observe(row, label, move_network=self.options.move_network)
        after = dataclasses.replace(self, observed=(*self.observed, (row, label)), belief=belief)
        object.__setattr__(after, "memory", self.memory)
        return after


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
