"""Real data that comes with scikit-learn, so that the first run needs no download."""

from __future__ import annotations

import numpy as np

from ntk_al._utils import extras
from ntk_al.data.dataset import Dataset


def digits(*, data_dir: str | None = None, cache_dir: str | None = None) -> Dataset:
    """Loads 1797 handwritten digits of 8×8 pixels (Alpaydin and Kaynak 1998), 450 as a test set.

    Raises:
      MissingExtraError: if scikit-learn is not installed.
    """
    del data_dir, cache_dir  # scikit-learn finds the data itself, and nothing is cached
    with extras.needed("the digits need", "scikit-learn", extra="experiments"):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

    raw = load_digits()
    images = raw.images[..., None].astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, raw.target.astype(np.int32), test_size=450, random_state=0, stratify=raw.target
    )
    return Dataset("digits", x_train, y_train, x_test, y_test, num_classes=10, augmentation="shift")
