"""A user's own arrays, from a ``.npz`` file."""

from __future__ import annotations

import os
import zipfile

import numpy as np

from ntk_al.data.dataset import Dataset

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: str) -> Dataset:
    """Reads a ``.npz`` file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    Images may be ``[N, H, W]`` or ``[N, H, W, channels]``. Arrays of any other shape ``[N, ...]``
    keep their shape. Labels are class ids that start from 0, and C is the largest one plus 1.

    Args:
      path: the path of the file.

    Returns:
      The dataset, not yet normalized.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if arrays are missing, or they are not a classification dataset.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"no such file: {os.path.abspath(path)}")
    x_train, y_train, x_test, y_test = _read(path)
    x_train, x_test = _as_images(x_train), _as_images(x_test)
    integer = all(np.issubdtype(y.dtype, np.integer) for y in (y_train, y_test))
    labels = np.concatenate([y_train.ravel(), y_test.ravel()]) if integer else np.zeros(1, int)
    highest = int(labels.max(initial=0))
    if highest >= max(2, labels.size) and integer:
        raise ValueError(
            f"{path} has labels up to {highest} for {labels.size} examples; class ids must count "
            "from 0 without gaps; np.unique(y, return_inverse=True)[1] renumbers them"
        )
    return Dataset(path, x_train, y_train, x_test, y_test, num_classes=max(2, 1 + highest))


def _as_images(x: np.ndarray) -> np.ndarray:
    """Adds the axis of channels if it is missing, and turns booleans into 0 and 1."""
    if x.dtype == bool:
        x = x.astype(np.uint8)
    return x[..., None] if x.ndim == 3 else x


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
