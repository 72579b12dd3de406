"""What a strategy is given, and what it gives back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ntk_al import checks, joint_posterior, kernels, lookahead, posterior, probing
from ntk_al.joint_posterior import JointPosterior
from ntk_al.network import READOUTS, Network
from ntk_al.posterior import Posterior
from ntk_al.training import TrainingConfig
from ntk_al.types import Array, ArrayLike

T = TypeVar("T")
Belief = TypeVar("Belief", Posterior, JointPosterior, Posterior | JointPosterior)


BATCH_MODES = {
    "top_k": "the k highest scores",
    "greedy": "one after the other, each conditioned on the pseudo-labels of those before",
}
"""How a look-ahead strategy makes a batch of scores."""


RETRAINING = TrainingConfig(epochs=15, learning_rate=0.01)
"""For each candidate of ``naive``: from trained weights, a tenth of the usual learning rate."""


@dataclasses.dataclass(frozen=True)
class LookaheadOptions:
    """Choices of the look-ahead strategies.

    Attributes:
      readout: see ``lookahead.score``, as for those that follow.
      reference: what a change of outputs is measured from.
      ridge: λ over the mean diagonal of the kernel.
      precision: of the Jacobian's entries.
      batch_mode: how scores make a batch, a key of ``BATCH_MODES``.
      criterion: of ``naive``, ``one_step`` and ``infinite_ntk``, a key of ``lookahead.CRITERIA``.
      move_network: whether a label that comes within a query moves the network's outputs, and so
        pseudo-labels and what changes are measured from, by the step that moves the posterior.
      retraining: how ``naive`` trains for each candidate; its learning rate is also the step of
        ``one_step``.
    """

    readout: str = "first_logit"
    reference: str = "network"
    ridge: float = 1e-4
    precision: str = "float32"
    batch_mode: str = "top_k"
    criterion: str = "mlmoc"
    move_network: bool = False
    retraining: TrainingConfig = RETRAINING

    def __post_init__(self) -> None:
        checks.one_of("readout", self.readout, (*READOUTS, lookahead.ALL_LOGITS))
        checks.one_of("reference", self.reference, lookahead.REFERENCES)
        checks.at_least("ridge", self.ridge, 0)
        checks.one_of("precision", self.precision, kernels.PRECISIONS)
        checks.one_of("batch_mode", self.batch_mode, BATCH_MODES)
        checks.one_of("criterion", self.criterion, lookahead.CRITERIA)


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
        that ``observe`` makes.
    """

    network: Network
    x_labeled: ArrayLike
    y_labeled: ArrayLike
    x: ArrayLike
    ids: np.ndarray
    options: LookaheadOptions = LookaheadOptions()
    observed: tuple[tuple[int, int], ...] = ()
    belief: Posterior | JointPosterior | None = None
    memory: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

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
        return self.once("features", lambda: np.asarray(probing.features(self.network, self.x)))

    @property
    def labeled_features(self) -> np.ndarray:
        """The same at all labeled points, those labeled within this query last, ``[L, d]``."""
        labeled = self.once(
            "labeled features",
            lambda: np.asarray(probing.features(self.network, self.x_labeled)),
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
    def posterior(self) -> Posterior | JointPosterior:
        """The retrained linearised network at the candidates, with every label seen so far."""
        if self.belief is not None:
            return self.belief
        return self.absorb(self.once("posterior", self._condition))

    def absorb(self, belief: Belief) -> Belief:
        """A posterior at the candidates, with the labels that came within this query."""
        if not self.observed:
            return belief
        rows, labels = np.transpose(self.observed)
        return belief.observe(rows, labels, move_network=self.options.move_network)

    def _condition(self) -> Posterior | JointPosterior:
        options = self.options
        if options.readout == lookahead.ALL_LOGITS:
            return joint_posterior.condition(
                kernels.joint_blocks(self.network, self.x_labeled, self.x),
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
        known = "posterior" in self.__dict__
        return dataclasses.replace(
            self,
            observed=(*self.observed, (row, label)),
            belief=(
                self.posterior.observe(row, label, move_network=self.options.move_network)
                if known
                else None
            ),
        )


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
