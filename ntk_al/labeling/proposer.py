"""What to label next: typical examples at first, then what a strategy chooses for a network."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ntk_al._utils import checks
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions, requirements
from ntk_al.kernels.empirical.plan import BudgetError
from ntk_al.labeling import cold_start
from ntk_al.labeling.cache import Cache, of_network
from ntk_al.labeling.events import Id, Label, Trained
from ntk_al.labeling.ledger import Ledger
from ntk_al.labeling.query import Queries
from ntk_al.labeling.sources import Source
from ntk_al.lookahead import soundness
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from ntk_al.lookahead.ridges import RECOMMENDED
from ntk_al.network import Network
from ntk_al.types import ArrayLike

DEFAULTS = {"batch_mode": "greedy", "ridge": RECOMMENDED, "move_network": True}
"""What a campaign asks of a look-ahead where nothing else is said."""


class Known(NamedTuple):
    """A network and the digest of its parameters."""

    network: Network
    digest: str


class Proposer:
    """Chooses the rows of a pool that are to be labeled.

    Args:
      source: the pool.
      ledger: the labels.
      cache: posteriors of before.

    Attributes:
      latest: the network that was used last, if any.
    """

    def __init__(self, source: Source, ledger: Ledger, cache: Cache) -> None:
        self._source = source
        self._ledger = ledger
        created = ledger.state.created
        self._seed = created.seed
        self._queries = Queries(source, created.pool, created.seed, cache)
        self.latest: Known | None = None

    def key(self) -> jax.Array:
        """Returns the key of what is drawn before the next answer."""
        return jax.random.fold_in(jax.random.key(self._seed), self._ledger.state.num_answers)

    def known(self, network: Any) -> Known | None:
        """Returns a network with its digest; for ``None`` the latest one, if there is any.

        Raises:
          TypeError: if it is not a ``Network``.
          ValueError: if its outputs are not one for each class.
        """
        if network is None:
            return self.latest
        if not isinstance(network, Network):
            raise TypeError(
                f"network must be an ntk_al.Network, got {type(network).__name__}: wrap it, for "
                "example with Network.from_nnx(model)"
            )
        num_classes = self._ledger.classes.num
        outputs = network.check(self._source.take(np.arange(1)), independent=False)
        if outputs != num_classes:
            raise ValueError(
                f"the network has {outputs} outputs, but the campaign has {num_classes} classes"
            )
        return Known(network, of_network(network))

    def use(self, network: Any) -> Known | None:
        """Returns the network to use, and records when it was first seen.

        Raises:
          TypeError: if it is not a ``Network``.
          ValueError: if there are no labels, or it has another number of outputs.
        """
        used = self.known(network)
        if used is None:
            return None
        if not self._ledger.training():
            raise ValueError(
                "a network was given, but there are no labels yet: call next without a network, "
                "and tell the labels of what it proposes"
            )
        if used.digest not in self._ledger.state.trained:
            self._ledger.record([Trained(used.digest)])
        self.latest = used
        return used

    def by_strategy(
        self,
        used: Known,
        k: int,
        strategy: str,
        avoided: Collection[Id],
        most: int | None,
        options: Mapping[str, Any],
    ) -> tuple[np.ndarray, list[Label]]:
        """Lets a strategy choose; returns rows and the classes that the network predicts."""
        requirements.check(STRATEGIES, strategy, used.network, self._source.take(np.arange(1)))
        candidates = self.candidates(used, k, avoided, most, options)
        if strategy in LABEL_CRITERIA:
            _warn_if_untrained(candidates)
        with _fewer_candidates(len(candidates.x)):
            rows = STRATEGIES[strategy](self.key(), candidates, k).ids
        self._queries.save()
        logits = np.asarray(used.network.predict(self._source.take(rows)))
        return rows, self._ledger.recorded(logits.argmax(1))

    def absorb(self, used: Known, most: int | None, options: Mapping[str, Any]) -> None:
        """Computes the posterior, or reads it from disk, and absorbs the labels since."""
        candidates = self.candidates(used, 1, (), most, options)
        _warn_if_untrained(candidates)
        with _fewer_candidates(len(candidates.x)):
            _ = candidates.posterior
        self._queries.save()

    def candidates(
        self,
        used: Known,
        least: int,
        avoided: Collection[Id],
        most: int | None,
        options: Mapping[str, Any],
    ) -> CandidateSet:
        """Returns the candidates for a network, with all labels of now.

        Raises:
          ValueError: if fewer than ``least`` examples are left, or an option is wrong.
        """
        ledger = self._ledger
        labels, closed = ledger.training(), ledger.closed(avoided)
        self._check_left(least, labels, closed)
        if most is not None:
            checks.whole("most_candidates", most)
        return self._queries.candidates(
            used.network,
            used.digest,
            LookaheadOptions(**{**DEFAULTS, **options}),
            labels,
            ledger.training(before=ledger.state.trained[used.digest]) or labels,
            closed,
            least=least,
            most=most,
        )

    def typical(self, k: int, avoided: Collection[Id], features: ArrayLike | None) -> np.ndarray:
        """Chooses rows of typical examples in different clusters.

        Raises:
          MissingExtraError: if scikit-learn is not installed.
          ValueError: if fewer than ``k`` examples are left, or the features do not fit.
        """
        labels, closed = self._ledger.training(), self._ledger.closed(avoided)
        self._check_left(k, labels, closed)
        num = len(self._source)
        free = np.ones(num, bool)
        free[[*labels, *closed]] = False
        rng = np.random.default_rng([self._seed, self._ledger.state.num_answers])
        most = max(k, cold_start.MOST_POINTS)
        drawn = rng.permutation(np.flatnonzero(free))[:most]
        rows = np.sort(np.concatenate([drawn, np.array([*labels], np.int64)]))
        if features is None:
            points = cold_start.of_inputs(self._source.take(rows))
        else:
            checks.inputs("features", features)
            if len(features) != num:
                raise ValueError(f"features has {len(features)} rows for {num} examples")
            points = cold_start.of_features(np.asarray(features)[rows])
        labeled = np.isin(rows, [*labels])
        return rows[cold_start.choose(rng, points, labeled, ~labeled, k)]

    def _check_left(self, k: int, labels: Collection[int], closed: Collection[int]) -> None:
        left = len(self._source) - len({*labels, *closed})
        if left < k:
            raise ValueError(f"cannot propose {k} examples: only {left} are left")


def _warn_if_untrained(candidates: CandidateSet) -> None:
    if candidates.options.reference == "network":
        soundness.warn_of_large_residual(candidates.problem)


@contextlib.contextmanager
def _fewer_candidates(num: int) -> Iterator[None]:
    """Adds to the error of a kernel that does not fit into memory what helps here."""
    try:
        yield
    except BudgetError as error:
        raise BudgetError(
            f"{num} candidates are too many for the memory: pass a smaller most_candidates, or "
            f"approximation='landmarks', which needs no whole kernel. The reason: {error}"
        ) from error
