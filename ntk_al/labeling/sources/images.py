"""Pools that are folders of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ntk_al._utils import extras
from ntk_al.labeling.events import Id
from ntk_al.labeling.sources.source import digest_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB"}


class ImageFolder:
    """The images in a folder and its subfolders, with their relative paths as ids.

    Pixels are floats from 0 to 1.

    Args:
      path: the folder.
      size: height and width to which every image is resized, or one number for both; ``None`` if
        all have the same.
      channels: 3 for color, 1 for shades of grey.

    Attributes:
      folder: the folder.
      size: height and width, or ``None``.
      channels: 1 or 3.

    Raises:
      FileNotFoundError: if there is no such folder.
      MissingExtraError: if pillow is not installed.
      ValueError: if it holds no images, or an option is wrong.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int] | int | None = None,
        channels: int = 3,
    ) -> None:
        _pillow()
        self.folder = os.fspath(path)
        if not os.path.isdir(self.folder):
            raise FileNotFoundError(f"no such folder: {os.path.abspath(self.folder)}")
        if channels not in _MODES:
            raise ValueError(f"channels must be 1 or 3, got {channels!r}")
        if isinstance(size, int):
            size = (size, size)
        if size is not None and not (len(size) == 2 and all(int(n) == n > 0 for n in size)):
            raise ValueError(f"size must be (height, width) in pixels, got {size!r}")
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.channels = channels
        self._ids = sorted(_images_in(self.folder))
        if not self._ids:
            raise ValueError(
                f"{os.path.abspath(self.folder)} holds no images ({', '.join(SUFFIXES)})"
            )

    @property
    def ids(self) -> Sequence[Id]:
        """The paths of the images within the folder, in order."""
        return self._ids

    def path(self, i: Id) -> str:
        """Returns the path of an image from its id."""
        return os.path.join(self.folder, str(i))

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See ``Source``; ``[n, height, width, channels]``.

        Raises:
          ValueError: if a file is not an image, or sizes differ and none was given.
        """
        names = [self._ids[row] for row in rows]
        images = [self._read(name) for name in names]
        if len({image.shape for image in images}) > 1:
            sizes = {image.shape: name for image, name in zip(images, names, strict=True)}
            shown = ", ".join(f"{name} has {h}x{w}" for (h, w, _), name in [*sizes.items()][:2])
            raise ValueError(
                f"the images of {self.folder} differ in size ({shown}): give them one size, size="
                "(height, width) or --image_size=height,width"
            )
        return np.stack(images)

    def digest(self) -> str:
        """See ``Source``."""
        return digest_of(self, facts=self._ids)

    def _read(self, name: str) -> np.ndarray:
        path = self.path(name)
        image = _pillow()
        try:
            with image.open(path) as file:
                pixels = file.convert(_MODES[self.channels])
                if self.size is not None and pixels.size != self.size[::-1]:
                    pixels = pixels.resize(self.size[::-1], image.Resampling.BILINEAR)
                array = np.asarray(pixels, np.float32) / 255
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is gone since the pool was opened") from error
        except (OSError, SyntaxError) as error:  # pillow raises both for damaged files
            raise ValueError(f"{path} is not an image that can be read: {error}") from error
        return array[..., None] if array.ndim == 2 else array


def _images_in(folder: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = os.path.relpath(os.path.join(parent, name), folder)
                found.append(path.replace(os.sep, "/"))
    return found


def _pillow() -> Any:
    with extras.needed("folders of images need", "pillow", extra="labeling"):
        from PIL import Image

    return Image
