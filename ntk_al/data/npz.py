"""A user's own arrays, from a ``.npz`` file."""

from __future__ import annotations

import os

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
    are_ids = all(y.dtype.kind in "iu" for y in (y_train, y_test))
    present = {*np.unique(y_train).tolist(), *np.unique(y_test).tolist()} if are_ids else set()
    num_classes = _count_classes(path, present)
    return Dataset(path, x_train, y_train, x_test, y_test, num_classes=num_classes)


def _as_images(x: np.ndarray) -> np.ndarray:
    """Adds the axis of channels if it is missing, and turns booleans into 0 and 1."""
    if x.dtype == bool:
        x = x.astype(np.uint8)
    return x[..., None] if x.ndim == 3 else x


def _count_classes(path: str, present: set[int]) -> int:
    """Returns C, at least 2, from the class ids that occur."""
    highest = max(present, default=0)
    missing = next((i for i in range(highest) if i not in present), None)
    if missing is not None:
        raise ValueError(
            f"{path} has labels up to {highest}, but no example of class {missing}; class ids must "
            "count from 0 without gaps, and np.unique(y, return_inverse=True)[1] renumbers them "
            "(training and test labels together)"
        )
    return max(2, 1 + highest)


def _read(path: str) -> list[np.ndarray]:
    # Bytes that are not a .npz file make numpy and zipfile raise errors of many kinds.
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise ValueError("it holds a single array without a name, as a .npy file does")
        with opened as file:
            missing = [name for name in _ARRAYS if name not in file.files]
            found = [] if missing else [np.asarray(file[name]) for name in _ARRAYS]
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is not a .npz file of plain numeric arrays: {error}") from error
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}; write it with "
            "np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
        )
    for name, array in zip(_ARRAYS, found, strict=True):
        if name.startswith("x") and array.dtype.kind not in "biuf":
            raise ValueError(f"{name} in {path} must hold real numbers, got dtype {array.dtype}")
    return found
