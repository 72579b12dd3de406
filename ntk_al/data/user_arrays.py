"""A user's own arrays."""

from __future__ import annotations

import os
import zipfile

import numpy as np

from ntk_al.data.dataset import Dataset

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: str) -> Dataset:
    """Reads a ``.npz`` file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    Images may be ``[N, H, W]`` or ``[N, H, W, channels]``; anything else ``[N, ...]`` is kept as it
    is. Labels are class ids from 0; C is one more than the largest.

    Raises:
      FileNotFoundError: no such file.
      ValueError: arrays that are missing, or that do not make a classification dataset.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"no such file: {os.path.abspath(path)}")
    x_train, y_train, x_test, y_test = _read(path)
    if x_train.ndim == 3:
        x_train = x_train[..., None]
    if x_test.ndim == 3:
        x_test = x_test[..., None]
    num_classes = 1 + max((int(y.max()) for y in (y_train, y_test) if y.size), default=0)
    return Dataset(path, x_train, y_train, x_test, y_test, num_classes=max(2, num_classes))


def _read(path: str) -> list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _ARRAYS if name not in file]
            if not missing:
                return [file[name] for name in _ARRAYS]
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a .npz file of plain numeric arrays: {error}") from error
    raise ValueError(
        f"{path} lacks {', '.join(missing)}; write it with "
        "np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
    )
