"""What the data frames of mlbench must hold, and how they become datasets."""

from __future__ import annotations

import dataclasses
import string
from typing import Any

import numpy as np

from ntk_al.data import Dataset


@dataclasses.dataclass(frozen=True)
class Table:
    """What a data frame of mlbench must hold, and how it becomes a dataset.

    Attributes:
      name: the name of the data frame, and of its file without ``.rda``.
      label: the column of the class.
      classes: the names of the classes, in the order of their ids.
      features: the other columns, in the order in which they are read into an example.
      highest: the largest value that a feature can have; all are whole numbers from 0.
      shape: the shape of an example.
      num_train: how many of the rows, the first ones, are for training.
      num_test: how many are for the test.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    features: tuple[str, ...]
    highest: int
    shape: tuple[int, ...]
    num_train: int
    num_test: int


_MEASURES = (
    "x.box y.box width high onpix x.bar y.bar x2bar y2bar xybar x2ybr xy2br x.ege xegvy y.ege yegvx"
)
_GROUNDS = (
    "red soil",
    "cotton crop",
    "grey soil",
    "damp grey soil",
    "vegetation stubble",
    "very damp grey soil",
)

TABLES = {
    "letter": Table(
        name="LetterRecognition",
        label="lettr",
        classes=tuple(string.ascii_uppercase),
        features=tuple(_MEASURES.split()),
        highest=15,
        shape=(16,),
        num_train=16000,
        num_test=4000,
    ),
    # The columns go from pixel to pixel, left to right and top to bottom, with the four bands of a
    # pixel beside each other.
    "satellite": Table(
        name="Satellite",
        label="classes",
        classes=_GROUNDS,
        features=tuple(f"x.{i}" for i in range(1, 37)),
        highest=255,
        shape=(3, 3, 4),
        num_train=4435,
        num_test=2000,
    ),
}
"""The datasets by name."""


def to_dataset(name: str, table: Table, frame: Any) -> Dataset:
    """Turns a data frame into a dataset, if it holds what it should.

    Args:
      name: the name of the dataset.
      table: what the data frame should hold.
      frame: a pandas data frame.

    Raises:
      ValueError: if columns, classes, rows or values are others.
    """

    def check(what: str, found: Any, expected: Any) -> None:
        if found != expected:
            raise ValueError(f"{table.name} should have {what} {expected}, but has {found}")

    check("the columns", sorted(frame.columns), sorted([*table.features, table.label]))
    check("the number of rows", len(frame), table.num_train + table.num_test)
    labels = [str(label) for label in frame[table.label]]
    check("the classes", sorted(set(labels)), sorted(table.classes))
    y = np.array([table.classes.index(label) for label in labels], np.int32)
    x = np.stack([frame[feature] for feature in table.features], axis=1).astype(np.float32)
    if not ((x >= 0) & (x <= table.highest) & (x == np.round(x))).all():  # NaN fails, too
        raise ValueError(f"{table.name} should hold whole numbers from 0 to {table.highest} only")
    x = x.reshape(-1, *table.shape)
    n = table.num_train
    return Dataset(name, x[:n], y[:n], x[n:], y[n:], num_classes=len(table.classes))
