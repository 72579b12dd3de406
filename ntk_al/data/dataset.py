"""Datasets: four arrays on the host, and the augmentation that suits the images."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Protocol

import numpy as np

from ntk_al._utils import checks


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification dataset. The id of an example is its row in ``x_train``.

    Attributes:
      name: the name in records and messages.
      x_train: ``[N, ...]``; for images, uint8 when read and float32 after normalization.
      y_train: class ids, ``[N]``, int32.
      x_test: ``[M, ...]``, of the same kind as ``x_train``.
      y_test: class ids, ``[M]``, int32.
      num_classes: C.
      augmentation: the augmentation that suits the images, a key of ``training.AUGMENTATIONS``.

    Raises:
      ValueError: if a set is empty, or shapes, labels or values are invalid.

    Examples:
      >>> x, y = np.array([[0.0], [2.0]]), np.array([0, 1])
      >>> Dataset("tiny", x, y, x, y, num_classes=2).normalized().x_train.tolist()
      [[-1.0], [1.0]]
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    augmentation: str = "none"

    def __post_init__(self) -> None:
        for split, x, y in (
            ("train", self.x_train, self.y_train),
            ("test", self.x_test, self.y_test),
        ):
            checks.inputs(f"x_{split} of {self.name}", x)
            if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
                raise ValueError(
                    f"y_{split} of {self.name} must be integer class ids [N], "
                    f"got dtype {y.dtype} and shape {y.shape}"
                )
            if len(x) != len(y):
                raise ValueError(f"{self.name}: {len(x)} x_{split} but {len(y)} y_{split}")
            checks.class_ids(f"y_{split} of {self.name}", y, self.num_classes)
        checks.same_example_shape("x_train", self.x_train, "x_test", self.x_test)

    def normalized(self) -> Dataset:
        """Scales the training images to zero mean and unit variance in each channel.

        The same shift and scale are applied to the test images.

        Returns:
          The scaled dataset, in float32.
        """
        axes = tuple(range(self.x_train.ndim - 1))
        mean = self.x_train.mean(axes, dtype=np.float64)
        std = self.x_train.std(axes, dtype=np.float64)
        std = np.where(std > 0, std, 1.0)  # a constant channel stays at zero

        def apply(x: np.ndarray) -> np.ndarray:
            return (x.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)

        return dataclasses.replace(self, x_train=apply(self.x_train), x_test=apply(self.x_test))

    def digest(self) -> str:
        """Returns a hash of all examples and labels, as 32 hexadecimal digits.

        Two datasets with the same digest hold the same arrays, in the same order.
        """
        hashed = hashlib.blake2b(digest_size=16)
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            hashed.update(f"{array.dtype} {array.shape}".encode())
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()


class Source(Protocol):
    """A function that reads one dataset, not yet normalized."""

    def __call__(self, *, data_dir: str | None, cache_dir: str | None) -> Dataset:
        """Reads the dataset from ``data_dir``, or a decoded copy of it from ``cache_dir``."""
        ...
