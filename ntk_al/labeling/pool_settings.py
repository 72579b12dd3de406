"""Where a campaign's examples come from, kept beside it, so that it opens by its folder alone."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from ntk_al._utils import files
from ntk_al.labeling.sources import (
    Arrays,
    ImageFolder,
    Source,
    Standardized,
    Table,
    open_source,
)

FILE = "pool.json"
"""In the folder of a campaign."""


@dataclasses.dataclass(frozen=True)
class PoolSettings:
    """What makes a pool of a path.

    Attributes:
      pool: the path of the file or of the folder, absolute.
      image_size: height and width of images, or ``None``.
      channels: of images, 1 or 3.
      columns: of a table that are features, or ``None`` for all.
      id_column: of a table, or ``None``.
      standardized: whether channels and columns are scaled, see ``Standardized``.
    """

    pool: str
    image_size: tuple[int, int] | None = None
    channels: int = 3
    columns: tuple[str, ...] | None = None
    id_column: str | None = None
    standardized: bool = True

    @classmethod
    def of(cls, source: Source) -> PoolSettings | None:
        """Returns what makes a source, or ``None`` if it is not made of a path alone."""
        standardized = isinstance(source, Standardized)
        inner = source.source if isinstance(source, Standardized) else source
        # The classes themselves: one derived from them may read its files in another way.
        if type(inner) is ImageFolder:
            path = os.path.abspath(inner.folder)
            return cls(path, inner.size, inner.channels, standardized=standardized)
        if type(inner) is Table:
            path, columns = os.path.abspath(inner.file), inner.columns
            return cls(path, columns=columns, id_column=inner.id_column, standardized=standardized)
        if type(inner) is Arrays and inner.file is not None:
            return cls(os.path.abspath(inner.file), standardized=standardized)
        return None

    def open(self) -> Source:
        """Opens the pool.

        Raises:
          OSError: if it is not there.
          TypeError: if it holds something other than numbers.
          ValueError: if it is damaged, or an option does not fit it.
        """
        return Standardized(self._open()) if self.standardized else self._open()

    def _open(self) -> Source:
        if not os.path.exists(self.pool):
            raise FileNotFoundError(
                f"no such file or folder: {self.pool}. If the pool of a campaign was moved, move "
                "it back, or put a link there"
            )
        if os.path.isdir(self.pool):
            self._refuse("columns", "id_column", "is a folder of images")
            return ImageFolder(self.pool, size=self.image_size, channels=self.channels)
        self._refuse("image_size", "channels", "is not a folder of images")
        if self.pool.lower().endswith((".csv", ".parquet")):
            return Table(self.pool, columns=self.columns, id_column=self.id_column)
        self._refuse("columns", "id_column", "is not a table")
        return open_source(self.pool)

    def _refuse(self, first: str, second: str, because: str) -> None:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in (first, second):
            if getattr(self, name) != defaults[name]:
                raise ValueError(f"{name} does not fit: {self.pool} {because}")

    def write(self, folder: str) -> None:
        """Keeps the settings in the folder of a campaign."""
        files.write(os.path.join(folder, FILE), json.dumps(dataclasses.asdict(self)) + "\n")

    @classmethod
    def read(cls, folder: str) -> PoolSettings:
        """Reads the settings of a campaign.

        Raises:
          FileNotFoundError: if there are none.
          ValueError: if they are damaged.
        """
        path = os.path.join(folder, FILE)
        try:
            with open(path, encoding="utf-8") as file:
                values: dict[str, Any] = json.load(file)
            given: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**given)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{os.path.abspath(folder)} holds no campaign that knows where its examples are: "
                "pass its pool to Campaign.open in Python. Of the commands, only status and export "
                "of csv work for a campaign whose pool is not made of a file or a folder alone"
            ) from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
