"""Public image datasets, read through tensorflow-datasets without TensorFlow.

A dataset that was prepared as ``array_record`` files is read through its random-access data source.
Decoding takes seconds to minutes, so the decoded images can be kept in a cache directory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ntk_al._utils import extras
from ntk_al.data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A dataset of tensorflow-datasets with the features ``image`` and ``label``.

    Attributes:
      name: the key of this source in ``DATASETS``.
      tfds_name: the name of the dataset in tensorflow-datasets.
      flip: whether a mirrored image still shows the same class.
    """

    name: str
    tfds_name: str
    flip: bool

    def __call__(self, *, data_dir: str | None = None, cache_dir: str | None = None) -> Dataset:
        """Reads the training and the test images.

        Args:
          data_dir: where tensorflow-datasets finds the dataset; ``None`` means its default.
          cache_dir: where decoded images are cached; ``None`` means no cache.

        Raises:
          FileNotFoundError: if the dataset is not prepared; the message contains the command.
          ValueError: if the files of the dataset are damaged.
          MissingExtraError: if tensorflow-datasets is not installed.
        """
        tfds = _import_tensorflow_datasets()
        with self._naming_damage(data_dir):
            builder = tfds.builder(self.tfds_name, data_dir=data_dir, file_format="array_record")

        def dataset(arrays: dict[str, np.ndarray]) -> Dataset:
            return Dataset(
                name=self.name,
                **arrays,
                num_classes=builder.info.features["label"].num_classes,
                augmentation="shift_flip" if self.flip else "shift",
            )

        kept = _from_cache(builder, cache_dir, dataset)
        if kept is not None:
            return kept
        arrays: dict[str, np.ndarray] = {}
        for split in ("train", "test"):
            source = self._open(builder, split)
            with self._naming_damage(builder.data_dir):
                arrays |= _decode(source, split)
        _to_cache(builder, cache_dir, arrays)
        return dataset(arrays)

    def _open(self, builder: Any, split: str) -> Any:
        try:
            return builder.as_data_source(split=split)
        except (AssertionError, KeyError, OSError, ValueError, NotImplementedError) as error:
            raise FileNotFoundError(f"{self._how_to_prepare(builder)}\n({error})") from error

    @contextlib.contextmanager
    def _naming_damage(self, data_dir: str | os.PathLike[str] | None) -> Iterator[None]:
        """Turns the errors of many kinds that damaged files raise into one."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            where = data_dir or "the default folder of tensorflow-datasets"
            (what, *_) = str(error).splitlines() or [type(error).__name__]
            raise ValueError(
                f"{self.name} in {where} cannot be read: {what}. If its files are damaged, delete "
                "them and prepare the dataset again."
            ) from error

    def prepare(self, data_dir: str | None = None) -> None:
        """Downloads the dataset and writes it as ``array_record`` files.

        Only this step uses TensorFlow, which must not occupy the memory of the accelerator.

        Args:
          data_dir: where to put the dataset; ``None`` means the default of tensorflow-datasets.

        Raises:
          MissingExtraError: if tensorflow-datasets or TensorFlow is not installed.
        """
        tfds = _import_tensorflow_datasets()
        with extras.needed("preparing a dataset needs", "TensorFlow", extra="prepare"):
            import tensorflow as tf

        for kind in ("GPU", "TPU"):
            tf.config.set_visible_devices([], kind)
        builder = tfds.builder(self.tfds_name, data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()

    def _how_to_prepare(self, builder: Any) -> str:
        where = os.path.dirname(os.path.dirname(str(builder.data_dir)))
        return (
            f"{self.name} is not prepared as array_record files in {where}. If it is "
            "elsewhere, pass that directory as data_dir. To download and prepare it:\n"
            f'  {sys.executable} -c "from ntk_al import data; '
            f"data.prepare('{self.name}', '{where}')\""
        )


def _decode(source: Any, split: str) -> dict[str, np.ndarray]:
    images, labels = [], []
    for i in range(len(source)):
        example = source[i]
        images.append(np.asarray(example["image"], np.uint8))
        labels.append(int(example["label"]))
    return {f"x_{split}": np.stack(images), f"y_{split}": np.asarray(labels, np.int32)}


def _import_tensorflow_datasets() -> types.ModuleType:
    with extras.needed("public datasets need", "tensorflow-datasets", extra="data"):
        import tensorflow_datasets

    return tensorflow_datasets


def _cache_path(builder: Any, cache_dir: str) -> str:
    where = hashlib.sha256(os.path.abspath(str(builder.data_dir)).encode()).hexdigest()[:12]
    return os.path.join(cache_dir, f"{builder.name}-{builder.version}-{where}.npz")


def _from_cache(
    builder: Any, cache_dir: str | None, dataset: Callable[[dict[str, np.ndarray]], Dataset]
) -> Dataset | None:
    if cache_dir is None or not os.path.exists(path := _cache_path(builder, cache_dir)):
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}
        for name, array in found.items():
            expected = np.uint8 if name.startswith("x") else np.int32
            if array.dtype != expected:
                raise ValueError(f"{name} is of dtype {array.dtype}")
        return dataset(found)
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make numpy and zipfile raise errors of many kinds
        logging.warning("the cached copy %s is broken (%s); reading the dataset again", path, error)
        return None


def _to_cache(builder: Any, cache_dir: str | None, arrays: dict[str, np.ndarray]) -> None:
    if cache_dir is None:
        return
    path = _cache_path(builder, cache_dir)
    temporary = None
    try:
        os.makedirs(cache_dir, exist_ok=True)
        # Renamed once it is complete: a killed run or a full disk leaves no broken copy behind.
        with tempfile.NamedTemporaryFile(dir=cache_dir, suffix=".tmp", delete=False) as file:
            temporary = file.name
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        logging.warning("the decoded dataset could not be kept in %s: %s", cache_dir, error)
        if temporary and os.path.exists(temporary):
            os.remove(temporary)
