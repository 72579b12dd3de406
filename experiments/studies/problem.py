"""The points of a study: digits, centered and scaled."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from ntk_al import data
from ntk_al.types import Array

from .settings import Settings


@dataclasses.dataclass(frozen=True)
class Problem:
    """Digits, centered by the mean training image and scaled to a mean square of 1 each.

    Attributes:
      x: the labeled points, and last the candidate x', ``[L + 1, D]``.
      y: their labels, one-hot, ``[L + 1, C]``.
      x_test: ``[T, D]``.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray


def draw_problem(key: Array, settings: Settings) -> Problem:
    """Draws labeled points, a candidate and test points, in float32.

    Args:
      key: PRNG key of the draw.
      settings: says how many.

    Raises:
      ValueError: if there are not as many.
    """
    digits = _digits()
    labeled_key, test_key = jax.random.split(key)
    rows = _draw(labeled_key, "num_labeled", settings.num_labeled + 1, len(digits.x_train))
    test_rows = _draw(test_key, "num_test", settings.num_test, len(digits.x_test))
    mean = digits.x_train.mean(0)
    return Problem(
        _on_sphere(digits.x_train[rows] - mean),
        np.eye(digits.num_classes, dtype=np.float32)[digits.y_train[rows]],
        _on_sphere(digits.x_test[test_rows] - mean),
    )


@functools.cache
def _digits() -> Any:
    return data.load("digits")


def _draw(key: Array, name: str, num: int, available: int) -> np.ndarray:
    if num > available:
        raise ValueError(f"{name} asks for {num} digits, but there are only {available}")
    return np.asarray(jax.random.permutation(key, available))[:num]


def _on_sphere(images: np.ndarray) -> np.ndarray:
    x = images.reshape(len(images), -1)
    return x / np.sqrt((x**2).mean(1, keepdims=True))
