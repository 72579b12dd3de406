"""Datasets by name, and a user's own arrays.

To add a dataset, write a source that reads it and add a row to ``DATASETS``.
"""

from __future__ import annotations

import os

from ntk_al._utils import checks
from ntk_al._utils.lazy_array import LazyArray
from ntk_al.data.dataset import Dataset, Source
from ntk_al.data.digits import digits
from ntk_al.data.npz import load_npz
from ntk_al.data.tensorflow_datasets import TfdsSource

DATASETS: dict[str, Source] = {
    "digits": digits,
    "mnist": TfdsSource("mnist", "mnist", flip=False),
    "svhn": TfdsSource("svhn", "svhn_cropped", flip=False),
    "cifar10": TfdsSource("cifar10", "cifar10", flip=True),
    "cifar100": TfdsSource("cifar100", "cifar100", flip=True),
}


def load(name: str, data_dir: str | None = None, cache_dir: str | None = None) -> Dataset:
    """Reads a dataset and normalizes it with the statistics of its training images.

    Args:
      name: a key of ``DATASETS``, or the path of a ``.npz`` file that holds ``x_train``,
        ``y_train``, ``x_test`` and ``y_test``.
      data_dir: where tensorflow-datasets finds its prepared datasets; ``None`` means its default.
      cache_dir: where decoded images are cached for the next run; ``None`` means no cache.

    Returns:
      The dataset, as float32 arrays on the host.

    Raises:
      ValueError: if the name is unknown, or the arrays are not a classification dataset.
      FileNotFoundError: if the data is missing; the message contains the command that prepares it.
      MissingExtraError: if the library that reads the dataset is not installed.

    Examples:
      >>> load("digits").x_train.shape
      (1347, 8, 8, 1)
    """
    if name.endswith(".npz"):
        return load_npz(name).normalized()
    checks.one_of("dataset (or path of a .npz file)", name, DATASETS)
    data_dir = os.path.expanduser(data_dir) if data_dir else None
    return DATASETS[name](data_dir=data_dir, cache_dir=cache_dir).normalized()


def prepare(name: str, data_dir: str | None = None) -> None:
    """Downloads a dataset and prepares it for ``load``; this step needs TensorFlow.

    Args:
      name: a key of ``DATASETS`` for a dataset that is read through tensorflow-datasets.
      data_dir: where to put it; ``None`` means the default of tensorflow-datasets.

    Raises:
      ValueError: if the name is unknown, or the dataset needs no download.
      MissingExtraError: if tensorflow-datasets or TensorFlow is not installed.
    """
    downloaded = [key for key, source in DATASETS.items() if isinstance(source, TfdsSource)]
    checks.one_of("dataset to prepare", name, downloaded)
    source = DATASETS[name]
    assert isinstance(source, TfdsSource)
    source.prepare(os.path.expanduser(data_dir) if data_dir else None)


__all__ = ["DATASETS", "Dataset", "LazyArray", "load", "load_npz", "prepare"]
