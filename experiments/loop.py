"""The active-learning loop: train, test, query, label, repeat."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from ntk_al import Network, Pool, data, models, training
from ntk_al._utils.sharding import MESH_AXIS
from ntk_al.acquisition import STRATEGIES, CandidateSet, Selection, requirements
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.data import Dataset
from ntk_al.lookahead import CRITERIA, scoring
from ntk_al.types import Array

from . import figures, records, revision
from .config import Config
from .progress import Progress

_PURPOSES = (
    "initial labels",
    "weights",
    "training",
    "subset",
    "query",
    "loss prediction",
    "evaluation points",
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with its data and its model, which have been found and checked."""

    config: Config
    dataset: Dataset
    module: nn.Module
    workdir: str
    mesh: Mesh | None = None


def prepare(config: Config, cache_dir: str | None = None) -> Experiment:
    """Loads the data, builds the model and makes all checks, before the first long step.

    Args:
      config: the settings.
      cache_dir: where decoded datasets are cached; ``None`` means no cache.

    Raises:
      FileExistsError: if the work directory holds another run.
      OSError: if the work directory cannot be created.
      FileNotFoundError: if the data cannot be found.
      MissingExtraError: if a required optional library is not installed.
      ValueError: if the pool is too small, the model does not take these examples, or the model
        lacks something that a strategy needs.
    """
    if config.workdir is not None:
        records.check_free(config.workdir)
    dataset = data.load(config.dataset, config.data_dir, cache_dir)
    config.check_pool(len(dataset.x_train))
    if config.training(dataset.augmentation).augmentation != "none" and dataset.x_train.ndim != 4:
        raise ValueError(
            f"augmentation needs images [N, H, W, channels]; {dataset.name} has examples of shape "
            f"{dataset.x_train.shape[1:]}: use --augmentation=none"
        )
    module = models.build(
        config.model,
        dataset.num_classes,
        width=config.width,
        blocks=config.blocks,
        dropout=config.dropout,
    )
    try:
        jax.eval_shape(module.init, jax.random.key(0), dataset.x_train[:1])
    except Exception as error:
        raise ValueError(
            f"the model {config.model!r} does not take examples of shape "
            f"{dataset.x_train.shape[1:]} (convolutions need [H, W, channels]; mlp takes any "
            f"shape): {error}"
        ) from error
    for strategy in config.strategy:
        fresh = functools.partial(_fresh_network, config, module, strategy)
        network = jax.eval_shape(fresh, dataset.x_train[:1])
        requirements.check(STRATEGIES, strategy, network, dataset.x_train[:1])
    mesh = _mesh(config)
    config.lookahead(dataset.augmentation, mesh)  # raises what does not go together
    return Experiment(config, dataset, module, _make_workdir(config), mesh)


def run(experiment: Experiment) -> str:
    """Runs every strategy of the experiment.

    All strategies share the initial labels and the initial weights of each cycle. They also share
    the candidates of a cycle, as far as their pools agree. This makes comparisons paired.

    Args:
      experiment: from ``prepare``.

    Returns:
      The work directory.

    Raises:
      DivergedError: if training diverges; the earlier cycles are on disk.
      OSError: if a record cannot be written; the earlier cycles are on disk.
    """
    config = experiment.config
    metrics = records.MetricsFile(experiment.workdir)
    progress = Progress(config)
    header: dict[str, Any] = {"config": dataclasses.asdict(config)}
    try:
        for strategy in config.strategy:
            for record in _cycles(experiment, strategy, progress):
                metrics.write({**record, **header})
                progress.done(record)
                header = {}
            figures.draw_accuracy(records.read(experiment.workdir), experiment.workdir)
    finally:
        progress.close()
        metrics.close()
    return experiment.workdir


def _cycles(experiment: Experiment, strategy: str, progress: Progress) -> Iterator[dict[str, Any]]:
    config, dataset = experiment.config, experiment.dataset
    git_revision = revision.git_revision()
    pool = Pool.start(_key(config, "initial labels"), len(dataset.x_train), config.init_size)
    network: Network | None = None
    for cycle in range(config.cycles):
        progress.cycle(strategy, cycle)
        if network is None or config.restart == "cold":
            network = _fresh_network(config, experiment.module, strategy, dataset.x_train, cycle)
        start = time.perf_counter()
        with progress.warnings():
            network, train_loss = training.fit(
                _key(config, "training", cycle),
                network,
                dataset.x_train[pool.labeled],
                dataset.y_train[pool.labeled],
                config.training(dataset.augmentation),
                on_epoch=progress.epoch,
            )
        train_seconds = time.perf_counter() - start

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
        pool = pool.label(selection.ids)


def _fresh_network(
    config: Config, module: nn.Module, strategy: str, x: np.ndarray, cycle: int = 0
) -> Network:
    """Creates a network with weights that all strategies share, and adds what this one needs."""
    network = training.initialize(_key(config, "weights", cycle), module, x)
    key = _key(config, "loss prediction", cycle)
    return requirements.provide(STRATEGIES[strategy], key, network, x)


def _query(
    experiment: Experiment, strategy: str, cycle: int, network: Network, pool: Pool
) -> Selection:
    config, dataset = experiment.config, experiment.dataset
    ids = pool.subset(_key(config, "subset", cycle), config.subset_size)
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
        scoring.warn_of_large_residual(candidates.problem)
    return SCHEMES[config.scheme](
        _key(config, "query", cycle),
        STRATEGIES[strategy],
        candidates,
        config.query_size,
        lambda i: int(dataset.y_train[i]),
    )


def _evaluation_points(config: Config, x: np.ndarray, cycle: int) -> np.ndarray | None:
    """Draws a random subset of the candidates; ``None`` means that all are evaluation points."""
    if config.eval_size is None:
        return None
    chosen = jax.random.permutation(_key(config, "evaluation points", cycle), len(x))
    return x[np.asarray(chosen)[: config.eval_size]]


def _mesh(config: Config) -> Mesh | None:
    if config.devices == "one":
        return None
    return jax.make_mesh((jax.device_count(),), (MESH_AXIS,))


def _key(config: Config, purpose: str, cycle: int = 0) -> Array:
    key = jax.random.fold_in(jax.random.key(config.seed), _PURPOSES.index(purpose))
    return jax.random.fold_in(key, cycle)


def _make_workdir(config: Config) -> str:
    """Makes the work directory, by default one that no other run has."""
    try:
        if config.workdir is None:
            return _make_new_workdir(os.path.splitext(os.path.basename(config.dataset))[0])
        os.makedirs(config.workdir, exist_ok=True)
        return config.workdir
    except OSError as error:
        raise OSError(
            f"the work directory {error.filename} cannot be made: {error.strerror}"
        ) from error


def _make_new_workdir(name: str) -> str:
    path = os.path.join("runs", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    # Another run may have started in the same second, or before the clock was set back.
    for suffix in itertools.chain([""], (f"-{number}" for number in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            os.makedirs(path + suffix)
            break
    return path + suffix


__all__ = ["Experiment", "prepare", "run"]
