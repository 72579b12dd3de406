"""The problem on which a query is measured: a network, labeled examples and candidates."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from ntk_al import Network, Pool, data, models, training
from ntk_al.acquisition import CandidateSet
from ntk_al.training import TrainingConfig
from ntk_al.types import ArrayLike

from ...config import Config


@dataclasses.dataclass(frozen=True)
class Problem:
    """The inputs of a query, from which a strategy would choose.

    Attributes:
      name: a description of how the problem was made.
      network: the network for which labels are chosen.
      x_labeled: labeled inputs, ``[L, ...]``.
      y_labeled: their class ids, ``[L]``.
      x_pool: candidates, ``[U, ...]``.
      ids: their example ids, ``[U]``.
      num_queried: k, how many candidates are queried.
      training: the settings with which the network was trained.
      train_seconds: how long training took, including compilation.
    """

    name: str
    network: Network
    x_labeled: ArrayLike
    y_labeled: ArrayLike
    x_pool: ArrayLike
    ids: np.ndarray
    num_queried: int = 1
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    train_seconds: float = 0.0

    def candidates(self) -> CandidateSet:
        """Makes the candidates for a strategy, with nothing computed yet."""
        return CandidateSet(self.network, self.x_labeled, self.y_labeled, self.x_pool, self.ids)

    def facts(self) -> dict[str, Any]:
        """Returns what a reader of the results must know about the problem."""
        return {
            "problem": self.name,
            "num_labeled": len(self.x_labeled),
            "num_pool": len(self.x_pool),
            "num_parameters": num_parameters(self.network),
            "train_seconds": self.train_seconds,
        }


def num_parameters(network: Network) -> int:
    """Returns P, the number of parameters and the length of a row of the Jacobian."""
    return sum(leaf.size for leaf in jax.tree.leaves(network.params))


def first_query(
    name: str, config: Config, *, seed: int, data_dir: str | None = None, train: bool = True
) -> Problem:
    """Makes the problem of an experiment's first query.

    Args:
      name: the name of the problem.
      config: the settings of the experiment.
      seed: the seed of labels, candidates, weights and training.
      data_dir: where tensorflow-datasets finds prepared datasets.
      train: whether to train the network, which is not needed to measure memory.
    """
    dataset = data.load(config.dataset, data_dir)
    label_key, subset_key, weight_key, train_key = jax.random.split(jax.random.key(seed), 4)
    pool = Pool.start(label_key, len(dataset.x_train), config.init_size)
    ids = pool.subset(subset_key, config.subset_size)
    x_labeled, y_labeled = dataset.x_train[pool.labeled], dataset.y_train[pool.labeled]
    module = models.build(
        config.model, dataset.num_classes, width=config.width, blocks=config.blocks
    )
    network = training.initialize(weight_key, module, x_labeled)
    fit_config = config.training(dataset.augmentation)
    start = time.perf_counter()
    if train:
        network, _ = training.fit(train_key, network, x_labeled, y_labeled, fit_config)
    return Problem(
        name=name,
        network=network,
        x_labeled=x_labeled,
        y_labeled=y_labeled,
        x_pool=dataset.x_train[ids],
        ids=ids,
        num_queried=config.query_size,
        training=fit_config,
        train_seconds=time.perf_counter() - start,
    )


def synthetic(
    name: str, network: Network, *, num_labeled: int, num_pool: int, image_size: int, seed: int
) -> Problem:
    """Makes a problem of smooth random images with noise, and random labels, on the device.

    Args:
      name: the name of the problem.
      network: a network for color images.
      num_labeled: L.
      num_pool: U.
      image_size: height and width of the images in pixels.
      seed: the seed of images and labels.
    """
    # Images with independent pixels would have nearly equal rows of the Jacobian.
    num = num_labeled + num_pool
    field_key, noise_key, label_key = jax.random.split(jax.random.key(seed), 3)
    coarse = jax.random.uniform(field_key, (num, 4, 4, 3), minval=-2, maxval=2)
    shape = (num, image_size, image_size, 3)
    noise = jax.random.uniform(noise_key, shape, minval=-0.5, maxval=0.5)
    images = jax.image.resize(coarse, shape, "linear") + noise
    num_classes = network.check(images)
    return Problem(
        name=name,
        network=network,
        x_labeled=images[:num_labeled],
        y_labeled=jax.random.randint(label_key, (num_labeled,), 0, num_classes),
        x_pool=images[num_labeled:],
        ids=np.arange(num_labeled, num),
    )
