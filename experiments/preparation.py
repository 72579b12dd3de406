"""What comes before the first cycle: the data, the model, the work directory, and all checks."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import time
import warnings

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from ntk_al import Network, data, models, training
from ntk_al._utils.sharding import MESH_AXIS
from ntk_al.acquisition import STRATEGIES, requirements
from ntk_al.data import Dataset

from . import continuation, keys
from .config import DATASET_AUGMENTATION, Config


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with its data and its model, which have been found and checked.

    Attributes:
      config: the settings.
      dataset: the data, normalized.
      module: the network.
      workdir: the work directory, which exists.
      mesh: the devices that share the candidates.
      resume: whether the run goes on with the one that the work directory may hold.
    """

    config: Config
    dataset: Dataset
    module: nn.Module
    workdir: str
    mesh: Mesh | None = None
    resume: bool = False


def prepare(config: Config, cache_dir: str | None = None, resume: bool = False) -> Experiment:
    """Loads the data, builds the model and makes all checks, before the first long step.

    Args:
      config: the settings.
      cache_dir: where decoded datasets are cached; ``None`` means no cache.
      resume: whether to go on with the run in the work directory, if it holds one.

    Raises:
      FileExistsError: if the work directory holds another run, or one that ``resume`` goes on with.
      OSError: if the work directory cannot be created.
      FileNotFoundError: if the data cannot be found.
      MissingExtraError: if a required optional library is not installed.
      ValueError: if the pool is too small, the model does not take these examples, or the model
        lacks something that a strategy needs.
    """
    continuation.check(config, resume)
    dataset = data.load(config.dataset, config.data_dir, cache_dir)
    config.check_pool(len(dataset.x_train))
    if config.training(dataset.augmentation).augmentation != "none" and dataset.x_train.ndim != 4:
        raise ValueError(
            f"augmentation needs images [N, H, W, channels]; {dataset.name} has examples of shape "
            f"{dataset.x_train.shape[1:]}: use --augmentation=none"
        )
    if config.augmentation == DATASET_AUGMENTATION and _are_own_images(dataset):
        warnings.warn(
            f"the images of {dataset.name} are trained on as they are. With few labels, "
            "augmentation can matter more than any strategy: if a shifted image still shows the "
            "same class, --augmentation=shift, and if a mirrored one does, too, "
            "--augmentation=shift_flip. --augmentation=none leaves it out without this warning",
            stacklevel=2,
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
        fresh = functools.partial(fresh_network, config, module, strategy)
        network = jax.eval_shape(fresh, dataset.x_train[:1])
        requirements.check(STRATEGIES, strategy, network, dataset.x_train[:1])
    mesh = _mesh(config)
    config.lookahead(dataset.augmentation, mesh)  # raises what does not go together
    return Experiment(config, dataset, module, _make_workdir(config), mesh, resume)


def _are_own_images(dataset: Dataset) -> bool:
    return dataset.name not in data.DATASETS and dataset.x_train.ndim == 4


def fresh_network(
    config: Config, module: nn.Module, strategy: str, x: np.ndarray, cycle: int = 0
) -> Network:
    """Creates a network with weights that all strategies share, and adds what this one needs."""
    network = training.initialize(keys.make(config.seed, "weights", cycle), module, x)
    key = keys.make(config.seed, "loss prediction", cycle)
    return requirements.provide(STRATEGIES[strategy], key, network, x)


def _mesh(config: Config) -> Mesh | None:
    if config.devices == "one":
        return None
    return jax.make_mesh((jax.device_count(),), (MESH_AXIS,))


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
