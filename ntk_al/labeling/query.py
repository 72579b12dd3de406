"""A network and the candidates of a campaign, kept up to date as labels arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from ntk_al._utils.lazy_array import LazyArray
from ntk_al.acquisition import CandidateSet, LookaheadOptions
from ntk_al.labeling.cache import Cache, digest
from ntk_al.labeling.sources import Source
from ntk_al.lookahead.posterior import Posterior
from ntk_al.network import Network

_MOST_BYTES = 2**30  # of candidates that are held in memory

Labels = Mapping[int, int]
"""The class of each labeled row, in the order in which the labels were given."""


@dataclasses.dataclass(frozen=True)
class Query:
    """Candidates for a network, before the labels that came after its training.

    Attributes:
      start: the candidates; their ids are rows of the pool.
      base: the labels on which the network was trained.
      key: what the posterior depends on, apart from the candidates.
    """

    start: CandidateSet
    base: dict[int, int]
    key: str

    def current(self, labels: Labels, excluded: Iterable[int]) -> CandidateSet | None:
        """Returns the candidates of now, after the labels that arrived since the training.

        Args:
          labels: all labels of now.
          excluded: rows that may not be proposed.

        Returns:
          The candidates, or ``None`` if they have to be made anew, because a label of the training
          has changed or a label has arrived that is not one of a candidate.
        """
        if any(labels.get(row) != label for row, label in self.base.items()):
            return None
        position = {int(row): i for i, row in enumerate(self.start.ids)}
        new = [(row, label) for row, label in labels.items() if row not in self.base]
        if any(row not in position for row, _ in new):
            return None
        candidates = self.start
        for row, label in new:
            candidates = candidates.observe(position[row], label)
        outside = [position[row] for row in excluded if row in position]
        return candidates.exclude(outside) if outside else candidates

    def save(self, cache: Cache) -> None:
        """Saves the posterior, if it has been computed and is one for a single kernel."""
        if self.start.knows_posterior and isinstance(self.start.posterior, Posterior):
            cache.save(self.key, self.start.ids, self.start.posterior)


def key_of(
    network: str, pool: str, base: Labels, options: LookaheadOptions, most: int | None
) -> str:
    """Returns the key of candidates and their posterior, from digests of network and pool."""
    # Only these options change the posterior.
    kernel: tuple[Any, ...] = (options.readout, options.ridge, options.precision, options.task)
    if options.approximation != "none":
        kernel = (*kernel, options.approximation, options.rank, options.tolerance)
    if options.solver != "cholesky":
        kernel = (*kernel, options.solver, options.solver_tolerance)
    return digest(network, pool, [*base.items()], kernel, most)


class Queries:
    """Makes the candidates of a campaign, and keeps the latest ones.

    Args:
      source: the pool.
      pool: its digest.
      seed: from which candidates are drawn.
      cache: posteriors of before.
    """

    def __init__(self, source: Source, pool: str, seed: int, cache: Cache) -> None:
        self._source = source
        self._pool = pool
        self._seed = seed
        self._cache = cache
        self._latest: Query | None = None

    def candidates(
        self,
        network: Network,
        network_digest: str,
        options: LookaheadOptions,
        labels: Labels,
        base: Labels,
        excluded: Collection[int],
        *,
        least: int,
        most: int | None,
    ) -> CandidateSet:
        """Returns candidates for a network, with all labels of now.

        Those of the call before are kept up to date if the network, its labels and the options are
        the same; else those whose posterior is on disk are used; else they are drawn.

        Args:
          network: the network.
          network_digest: its digest.
          options: of the look-ahead.
          labels: the class of each labeled row, in the order in which the labels were given.
          base: those of them on which the network was trained.
          excluded: rows that may not be proposed.
          least: how many candidates must be available.
          most: how many to draw; ``None`` takes all that are unlabeled.
        """
        key = key_of(network_digest, self._pool, base, options, most)
        for query in (self._kept(key, options), self._cached(key, network, base, options)):
            found = query.current(labels, excluded) if query else None
            if found is not None and found.available.sum() >= least:
                self._latest = query
                return found
        drawn = None if most is None else max(most, least)
        rows = self._draw(labels, base, excluded, drawn)
        self._latest = self._make(key, network, base, options, rows)
        found = self._latest.current(labels, excluded)
        assert found is not None
        return found

    def save(self) -> None:
        """Saves the posterior of the latest candidates, if one has been computed."""
        if self._latest is not None:
            self._latest.save(self._cache)

    def _kept(self, key: str, options: LookaheadOptions) -> Query | None:
        """Returns the latest query, with other options if these do not change the posterior."""
        latest = self._latest
        if latest is None or latest.key != key or latest.start.options == options:
            return latest if latest is not None and latest.key == key else None
        start = dataclasses.replace(latest.start, options=options)
        if latest.start.knows_posterior:
            start.remember_posterior(latest.start.posterior)
        return dataclasses.replace(latest, start=start)

    def _cached(
        self, key: str, network: Network, base: Labels, options: LookaheadOptions
    ) -> Query | None:
        """Returns the query whose posterior is on disk, if it is indeed that of the network."""
        loaded = self._cache.load(key)
        if loaded is None:
            return None
        rows, posterior = loaded
        query = self._make(key, network, base, options, rows)
        # The digest of a network does not see its function.
        if not np.allclose(posterior.logits, query.start.network_logits, rtol=1e-3, atol=1e-4):
            return None
        query.start.remember_posterior(posterior)
        return query

    def _draw(
        self, labels: Labels, base: Labels, excluded: Collection[int], most: int | None
    ) -> np.ndarray:
        """Draws unlabeled rows, and adds those whose labels the network has not seen."""
        free = np.ones(len(self._source), bool)
        free[[*labels, *excluded]] = False
        rows = np.flatnonzero(free)
        if most is not None and most < len(rows):
            rng = np.random.default_rng([self._seed, len(base)])
            rows = rng.choice(rows, most, replace=False)
        new = [row for row in labels if row not in base]
        return np.sort(np.concatenate([rows, np.array(new, np.int64)]))

    def _make(
        self,
        key: str,
        network: Network,
        base: Labels,
        options: LookaheadOptions,
        rows: np.ndarray,
    ) -> Query:
        start = CandidateSet(
            network=network,
            x_labeled=self._source.take(np.array([*base], np.int64)),
            y_labeled=np.array([*base.values()], np.int32),
            x=self._candidates(rows),
            ids=rows,
            options=options,
        )
        return Query(start, dict(base), key)

    def _candidates(self, rows: np.ndarray) -> Any:
        """Returns the inputs of candidates; many of them are read whenever they are needed."""
        num_bytes = self._source.take(rows[:1]).nbytes * len(rows)
        if num_bytes <= _MOST_BYTES:
            return self._source.take(rows)
        return LazyArray(_Rows(self._source, rows))


class _Rows:
    """Some rows of a pool, as a source of examples."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self._source = source
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> np.ndarray:
        return self._source.take(self._rows[[number]])[0]

    def __getitems__(self, numbers: list[int]) -> np.ndarray:
        return self._source.take(self._rows[numbers])
