"""The active-learning loop: train, test, query, label, repeat."""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ntk_al import Network, Pool, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, Selection
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.lookahead import CRITERIA, soundness

from . import continuation, keys, records, revision
from .checkpoints import Checkpoints
from .config import Config
from .loggers import start as start_loggers
from .picture import draw_accuracy
from .preparation import Experiment, fresh_network
from .progress import Progress


def run(
    experiment: Experiment,
    *,
    picture: bool = True,
    loggers: Sequence[str] = (),
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> str:
    """Runs every strategy of the experiment.

    All strategies share the initial labels and the initial weights of each cycle. They also share
    the candidates of a cycle, as far as their pools agree. This makes comparisons paired.

    A run that was stopped goes on after its last record, to the same records as if it had not been
    stopped, their times apart.

    Args:
      experiment: from ``prepare``.
      picture: whether to draw the accuracies.
      loggers: keys of ``LOGGERS``, what is written beside ``metrics.jsonl``.
      on_record: called with each record once it is on disk.

    Returns:
      The work directory.

    Raises:
      DivergedError: if training diverges; the earlier cycles are on disk.
      FileExistsError: if the work directory holds a run of another definition.
      OSError: if a record cannot be written; the earlier cycles are on disk.
    """
    config = experiment.config
    digest = experiment.dataset.digest()
    metrics = records.MetricsFile(experiment.workdir, experiment.resume)
    saved = Checkpoints(experiment.workdir)
    try:
        header: dict[str, Any] = {"config": dataclasses.asdict(config), "data_digest": digest}
        if metrics.earlier:
            continuation.check_same(metrics.earlier, config, digest)
            header = {}
        else:
            saved.remove()  # those of a run whose records were moved away
        beside = start_loggers(loggers, experiment.workdir, metrics.earlier)
        progress = Progress(config, len(metrics.earlier))
        try:
            for number, strategy in enumerate(config.strategy):
                first = number * config.cycles
                done = metrics.earlier[first : first + config.cycles]
                for record in _cycles(experiment, strategy, done, saved, first, progress):
                    metrics.write({**record, **header})
                    progress.done(record)
                    for logger in beside:
                        logger.write(record)
                    if on_record is not None:
                        on_record(record)
                    header = {}
                if number + 1 == len(config.strategy):
                    saved.remove()
                if picture:
                    draw_accuracy(records.read(experiment.workdir), experiment.workdir)
        finally:
            progress.close()
            for logger in beside:
                logger.close()
    finally:
        metrics.close()
    return experiment.workdir


def _cycles(
    experiment: Experiment,
    strategy: str,
    done: Sequence[dict[str, Any]],
    saved: Checkpoints,
    first: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Goes through the cycles of a strategy, and yields the records that are not on disk yet.

    The checkpoint of a cycle is written after its record. If the process ended in between, or the
    checkpoint was damaged, the training is repeated where the next one needs its weights. The
    labels that were queried are those of the record in any case.

    Args:
      experiment: the experiment.
      strategy: the name of the strategy.
      done: the records of the cycles that were completed before.
      saved: the checkpoints.
      first: the number of cycles of the strategies before this one.
      progress: shows what is being done.
    """
    config, dataset = experiment.config, experiment.dataset
    git_revision = revision.git_revision()
    key = keys.make(config.seed, "initial labels")
    pools = [Pool.start(key, len(dataset.x_train), config.init_size)]
    for record in done:
        pools.append(pools[-1].label(record["queried"]))
    network, restored = None, 0
    if 0 < len(done) < config.cycles:
        fresh = functools.partial(fresh_network, config, experiment.module, strategy)
        with progress.warnings():
            like = jax.eval_shape(fresh, dataset.x_train[:1])
            network, restored = saved.newest(like, pools, first)
    for cycle in range(restored, config.cycles):
        if cycle < len(done) and (config.restart == "cold" or len(done) == config.cycles):
            continue  # nothing that follows needs these weights
        progress.cycle(strategy, cycle)
        pool = pools[cycle]
        if network is None or config.restart == "cold":
            network = fresh_network(config, experiment.module, strategy, dataset.x_train, cycle)
        start = time.perf_counter()
        with progress.warnings():
            network, train_loss = training.fit(
                keys.make(config.seed, "training", cycle),
                network,
                dataset.x_train[pool.labeled],
                dataset.y_train[pool.labeled],
                config.training(dataset.augmentation),
                on_epoch=progress.epoch,
            )
        train_seconds = time.perf_counter() - start
        if cycle < len(done):
            with progress.warnings():
                _warn_of_another_loss(done[cycle], train_loss)
            saved.save(first + cycle + 1, network, pools[cycle + 1])
            continue

        progress.stage("testing")
        test_accuracy = training.accuracy(network, dataset.x_test, dataset.y_test)

        progress.stage(f"querying {config.query_size} of {config.subset_size}")
        start = time.perf_counter()
        with progress.warnings():
            selection = _query(experiment, strategy, cycle, network, pool)
        query_seconds = time.perf_counter() - start

        yield {
            "strategy": strategy,
            "scheme": config.scheme,
            "seed": config.seed,
            "predictive": config.class_probabilities,
            "cycle": cycle,
            "num_labeled": len(pool.labeled),
            "test_accuracy": test_accuracy,
            "train_loss": train_loss,
            "train_seconds": round(train_seconds, 3),
            "query_seconds": round(query_seconds, 3),
            "queried": selection.ids.tolist(),
            "ridge": selection.diagnostics.get("ridge"),
            "condition_number": selection.diagnostics.get("condition_number"),
            "diagnostics": selection.diagnostics,
            "git_revision": git_revision,
        }
        pools.append(pool.label(selection.ids))
        if cycle + 1 < config.cycles:
            saved.save(first + cycle + 1, network, pools[-1])


def _warn_of_another_loss(record: dict[str, Any], train_loss: float) -> None:
    """Warns if a training that was repeated has not ended where it did at first."""
    if not np.isclose(record["train_loss"], train_loss, rtol=1e-4, atol=1e-9):
        warnings.warn(
            f"cycle {record['cycle'] + 1} was trained again, because its weights are lost, and its "
            f"loss is {train_loss:.6g} instead of {record['train_loss']:.6g}: another machine or "
            "other versions of the libraries. What follows may differ from a run without a stop.",
            stacklevel=2,
        )


def _query(
    experiment: Experiment, strategy: str, cycle: int, network: Network, pool: Pool
) -> Selection:
    config, dataset = experiment.config, experiment.dataset
    ids = pool.subset(keys.make(config.seed, "subset", cycle), config.subset_size)
    candidates = CandidateSet(
        network=network,
        x_labeled=dataset.x_train[pool.labeled],
        y_labeled=dataset.y_train[pool.labeled],
        x=dataset.x_train[ids],
        ids=ids,
        options=config.lookahead(dataset.augmentation, experiment.mesh),
        x_eval=_evaluation_points(config, dataset.x_train[ids], cycle),
    )
    if strategy in CRITERIA and candidates.options.reference == "network":
        soundness.warn_of_large_residual(candidates.problem)
    return SCHEMES[config.scheme](
        keys.make(config.seed, "query", cycle),
        STRATEGIES[strategy],
        candidates,
        config.query_size,
        lambda i: int(dataset.y_train[i]),
    )


def _evaluation_points(config: Config, x: np.ndarray, cycle: int) -> np.ndarray | None:
    """Draws a random subset of the candidates; ``None`` means that all are evaluation points."""
    if config.eval_size is None:
        return None
    chosen = jax.random.permutation(keys.make(config.seed, "evaluation points", cycle), len(x))
    return x[np.asarray(chosen)[: config.eval_size]]
