"""``Campaign``: a folder with the labels that people give, and what to label next."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from ntk_al import training
from ntk_al._utils import checks
from ntk_al.acquisition import STRATEGIES
from ntk_al.labeling import cache, classes, comparison, creation, identity, log, report
from ntk_al.labeling.answers import Answers
from ntk_al.labeling.events import Id, Proposed
from ntk_al.labeling.ledger import Ledger
from ntk_al.labeling.pool_settings import PoolSettings
from ntk_al.labeling.proposer import Proposer
from ntk_al.labeling.sources import Source, open_source
from ntk_al.network import Network
from ntk_al.training import TrainingConfig
from ntk_al.types import ArrayLike

MOST_CANDIDATES = 2000
"""Of more unlabeled examples than that, a random sample is scored."""


class Campaign(Answers):
    """A pool of examples that people label, in a folder on disk.

    Make one with ``Campaign.create`` and come back to it with ``Campaign.open``. Every label is on
    disk before ``tell`` returns. A process that is killed loses at most the event that it was
    writing, and the next one that opens the campaign says so. One process at a time has a campaign
    open; ``close`` it, or use it in a ``with`` statement.

    Examples:
      >>> import tempfile
      >>> folder = os.path.join(tempfile.mkdtemp(), "animals")
      >>> x_pool = np.random.default_rng(0).normal(size=(40, 3))
      >>> campaign = Campaign.create(folder, x_pool, class_names=["cat", "dog"], audit=0)
      >>> campaign.tell([3, 7], ["cat", "dog"])
      >>> x, y = campaign.labeled()
      >>> x.shape, y.tolist()
      ((2, 3), [0, 1])
      >>> campaign.close()
    """

    def __init__(self, folder: str, source: Source, events: log.Log, ids: identity.Ids) -> None:
        """Use ``create`` or ``open``."""
        self._folder = folder
        self._close = weakref.finalize(self, events.close)
        super().__init__(source, Ledger(events.entries, ids, events.append))
        self._proposer = Proposer(source, self._ledger, cache.Cache(folder))

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        x_pool: Any,
        *,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        ids: Iterable[Any] | None = None,
        audit: float | int | None = None,
        seed: int = 0,
    ) -> Campaign:
        """Creates a campaign.

        Args:
          folder: where it is kept; made if it does not exist.
          x_pool: the examples: an array ``[N, ...]``, the path of a ``.npy``, ``.csv`` or
            ``.parquet`` file or of a folder of images, or a source (``labeling.ImageFolder``,
            ``Table``, ``ArrayRecord``, or a class of your own with the attributes of
            ``labeling.Source``).
          num_classes: C; classes are then numbers from 0.
          class_names: their names instead; class ids count them from 0.
          ids: the ids of the examples, strings or integers; by default those of the source, such as
            paths of images, or else row numbers.
          audit: how many examples, or which share of the pool, are set apart to measure accuracy.
            They are drawn at random before anything else, and no strategy proposes them. By default
            5 % of the pool, but 40 to 100, and at most a fifth of it.
          seed: of all random draws.

        Raises:
          FileExistsError: if the folder holds a campaign already.
          OSError: if the folder cannot be written.
          TypeError: if an argument has the wrong type.
          ValueError: if the pool is empty, or an argument does not fit it.
        """
        folder = os.fspath(folder)
        log.check_none(folder)  # before the pool is read
        known = classes.Classes.of(num_classes, class_names)
        source = open_source(x_pool)
        names = identity.Ids(len(source), source.ids if ids is None else ids)
        created = creation.created(source, known, audit, seed)
        os.makedirs(folder, exist_ok=True)
        campaign = cls(folder, source, log.Log(folder, created, names), names)
        settings = PoolSettings.of(source)
        if settings is not None:
            settings.write(folder)
        return campaign

    @classmethod
    def open(cls, folder: str | os.PathLike[str], x_pool: Any = None) -> Campaign:
        """Opens a campaign.

        Args:
          folder: where it is kept.
          x_pool: the same examples as those it was created with. A campaign whose pool is a file or
            a folder, opened with ``ImageFolder`` or ``Table`` or by its path, knows where they are
            and needs none.

        Raises:
          FileExistsError: if another process has it open; the message names that process.
          FileNotFoundError: if there is none.
          OSError: if the folder cannot be written.
          ValueError: if the pool is another one, or the log is damaged or of a later version.

        Warns:
          UserWarning: if the last event was cut off, because the process died while it was written.
        """
        folder = os.fspath(folder)
        events = log.Log(folder)
        try:
            given = PoolSettings.read(folder).open() if x_pool is None else x_pool
            source = open_source(given)
            created = creation.of_entries(events.entries)
            ids = identity.Ids.read(folder, created.num_examples)
            creation.check_pool(folder, source, created, ids.own)
            return cls(folder, source, events, ids)
        except BaseException:
            events.close()
            raise

    @property
    def folder(self) -> str:
        """The folder in which the campaign is kept."""
        return self._folder

    # What to label next.

    def next(
        self,
        k: int,
        network: Any = None,
        *,
        strategy: str = "mlmoc",
        audit: int = 0,
        most_candidates: int | None = MOST_CANDIDATES,
        exclude: Any = (),
        features: ArrayLike | None = None,
        **options: Any,
    ) -> list[Id]:
        """Proposes examples to label.

        Without a network, these are typical examples of different clusters. With one, a strategy
        chooses them. Labels that arrived since the network was trained move its posterior by
        rank-one updates, so that they count without any training. The same call proposes the same
        examples until a label or a skip arrives.

        Args:
          k: how many; 0 is allowed if ``audit`` is not 0.
          network: the trained network; ``None`` takes that of the last call of ``absorb`` or
            ``next`` in this process, if any.
          strategy: a key of ``acquisition.STRATEGIES``.
          audit: how many audit examples to add, at the end; see ``report``.
          most_candidates: of more unlabeled examples, so many are drawn and scored; ``None`` scores
            all.
          exclude: ids not to propose, such as those that somebody else is labeling.
          features: features of the whole pool ``[N, d]``, from any model, by which examples are
            clustered without a network; ``None`` takes the raw inputs.
          **options: of the look-ahead, see ``acquisition.LookaheadOptions``. By default,
            ``batch_mode`` is ``"greedy"``, ``ridge`` is 0.1, and ``move_network`` is true:
            labels since the training move the network's outputs.

        Returns:
          Their ids, best first, then ``audit`` of the audit.

        Raises:
          MissingExtraError: if scikit-learn is needed and not installed.
          TypeError: if the network is not a ``Network``, or an option has the wrong type.
          ValueError: if fewer than ``k`` examples are left, there are no labels for the network, or
            the strategy or an option is unknown or does not fit.
        """
        k, audit = creation.at_least_zero("k", k), creation.at_least_zero("audit", audit)
        if not k + audit:
            raise ValueError("nothing to propose: k and audit are 0")
        checks.one_of("strategy", strategy, STRATEGIES)
        avoided = identity.as_ids(exclude)
        self._ledger.ids.check(avoided)
        used = self._proposer.use(network)
        from_audit = self._ledger.next_audit(audit, avoided)
        rows, name, predictions = np.empty(0, np.int64), "typical", None
        if k and used is None:
            rows = self._proposer.typical(k, avoided, features)
        elif k and used is not None:
            name = strategy
            rows, predictions = self._proposer.by_strategy(
                used, k, strategy, avoided, most_candidates, options
            )
        chosen = self._ledger.ids.of(rows)
        proposal = Proposed(chosen, name, predictions, from_audit)
        if proposal != self._ledger.state.proposal:
            self._ledger.record([proposal])
        return [*chosen, *from_audit]

    def fit(
        self, network: Network, config: TrainingConfig | None = None, **options: Any
    ) -> Network:
        """Trains a network on the labels, with ``training.fit``.

        Args:
          network: the network at which training starts.
          config: the settings of training; by default those of ``TrainingConfig()``.
          **options: see ``training.fit``.

        Returns:
          The trained network.

        Raises:
          ValueError: if there are no labels; see also ``training.fit``.
        """
        x, y = self.labeled()
        if not len(y):
            raise ValueError("there are no labels to train on; tell some first")
        config = TrainingConfig() if config is None else config
        return training.fit(self._proposer.key(), network, x, y, config, **options)[0]

    def absorb(
        self, network: Any, *, most_candidates: int | None = MOST_CANDIDATES, **options: Any
    ) -> None:
        """Computes the posterior of a network, so that further labels count without any training.

        From then on ``next`` needs no network. Each label that arrives is a rank-one update. If the
        same network and its labels were absorbed before, in another process too, the posterior is
        read from disk.

        Args:
          network: the trained network.
          most_candidates: see ``next``.
          **options: see ``next``.

        Raises:
          TypeError: if the network is not a ``Network``, or an option has the wrong type.
          ValueError: if there are no labels, nothing is left to label, or an option is unknown.
        """
        used = self._proposer.use(network)
        if used is None:
            raise TypeError("absorb needs the trained network")
        self._proposer.absorb(used, most_candidates, options)

    # What has been reached.

    def report(self, network: Any = None, train: comparison.Train | None = None) -> report.Report:
        """Says what the campaign has reached.

        Args:
          network: the network whose accuracy is measured on the audit labels; ``None`` takes that
            of the last call of ``absorb`` or ``next`` in this process, if any.
            It may be older than the latest labels.
          train: trains a network, ``train(x, y)``; with it, chosen labels are compared with random
            ones, for which ten networks are trained, or a few more. This needs 20 audit labels.

        Raises:
          TypeError: if the network is not a ``Network``, or ``train`` no function that returns one.
          ValueError: if the network has another number of outputs than there are classes.
        """
        x_audit, y_audit = self.audited()
        used = self._proposer.known(network)
        accuracy = beside_random = missing = num_trained = None
        if used is not None and len(y_audit):
            accuracy = report.Rate.of(comparison.correct(used.network, x_audit, y_audit))
        if used is not None and used.digest in (begun := self._ledger.state.trained):
            num_trained = len(self._ledger.training(before=begun[used.digest]))
        if train is not None:
            seed = self._ledger.state.created.seed
            try:
                beside_random = comparison.compare(
                    train, *self.labeled(), x_audit, y_audit, seed=seed
                )
            except comparison.TooFewError as error:
                missing = str(error)
        return report.of_ledger(self._ledger, accuracy, beside_random, missing, num_trained)

    def __repr__(self) -> str:
        return f"Campaign({self._folder!r}, {len(self.labels)} labels of {len(self._source)})"

    def close(self) -> None:
        """Lets other processes open the campaign; nothing more can be recorded by this object."""
        self._close()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
