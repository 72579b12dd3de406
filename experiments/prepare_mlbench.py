"""Makes two datasets of real data, ``letter.npz`` and ``satellite.npz``, from R's package mlbench.

    python -m experiments.prepare_mlbench --to=data
    python -m experiments.prepare_mlbench --to=data --package=r-cran-mlbench_2.1-3-1_amd64.deb

The package is Debian's r-cran-mlbench. Without ``--package``, the first command downloads it (1 MB)
by ``apt-get download``, which installs nothing. R is not needed.

- Letter recognition (Frey and Slate 1991): 20000 distorted capital letters in 20 fonts. The 16
  features are moments and counts of edges, scaled to whole numbers from 0 to 15.
- Satellite (Statlog): 6435 patches of 3×3 pixels of one Landsat scene, in four spectral bands. The
  class is the kind of ground at the pixel in the middle.

Both are split as is customary: the last rows are for the test. They are drawn as the training rows
are, but not independently of them. The features of 380 test letters are those of a training letter,
and 97% of Satellite's test patches share six pixels with a training patch.
"""

from __future__ import annotations

import dataclasses
import glob
import io
import lzma
import os
import shutil
import string
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ntk_al import data
from ntk_al._utils import extras
from ntk_al.data import Dataset

from . import files

try:
    with extras.needed("experiments need", "absl-py", extra="experiments"):
        from absl import app, flags
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

PACKAGE = "r-cran-mlbench"
_BY_HAND = f"Download {PACKAGE}_*.deb from any mirror of Debian or Ubuntu, and pass --package=PATH."


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


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("to", "data", "The folder for the .npz files.", flag_values=values)
    flags.DEFINE_string(
        "package",
        None,
        f"The .deb of {PACKAGE}, or a folder that holds LetterRecognition.rda and Satellite.rda at "
        "any depth, such as that of an installed mlbench; default: apt-get downloads the .deb.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite", False, "Replace files that hold something else.", flag_values=values
    )


def prepare(to: str, package: str | None = None, *, overwrite: bool = False) -> None:
    """Writes both datasets as ``.npz`` files that ``data.load`` reads.

    A file that holds the same arrays already is left alone. Nothing is written unless both datasets
    can be.

    Args:
      to: the folder for the files; it is made if it does not exist.
      package: a ``.deb``, or a folder with ``.rda`` files; ``None`` downloads the ``.deb``.
      overwrite: whether to replace files that hold something else.

    Raises:
      MissingExtraError: if rdata is not installed.
      FileNotFoundError: if the package cannot be found or downloaded, or lacks a data frame.
      FileExistsError: if a file holds something else, and ``overwrite`` is false.
      ValueError: if the package is damaged, or its data are not what they should be.
      OSError: if the files cannot be written.
    """
    import_rdata()  # before the download
    if package is None:
        with tempfile.TemporaryDirectory() as folder:
            frames = read_frames(_download(folder))
    else:
        frames = read_frames(package)
    datasets = {name: to_dataset(name, table, frames[name]) for name, table in TABLES.items()}
    missing = {}
    for name, dataset in datasets.items():
        path = os.path.join(to, f"{name}.npz")
        if holds(path, dataset):
            print(f"{path} is there already")
        elif os.path.lexists(path) and not overwrite:
            raise FileExistsError(
                f"{path} is there and holds something else, and nothing was written; choose "
                "another --to, or replace it by --overwrite"
            )
        else:
            missing[path] = dataset
    os.makedirs(to, exist_ok=True)
    for path, dataset in missing.items():
        write(path, dataset)
        print(f"wrote {path}: {len(dataset.y_train)} training and {len(dataset.y_test)} test rows")


def import_rdata() -> Any:
    """Imports the library that reads R's files.

    Raises:
      MissingExtraError: if it is not installed.
    """
    with extras.needed("the data of mlbench need", "rdata", extra="mlbench"):
        import rdata

    return rdata


def read_frames(package: str) -> dict[str, Any]:
    """Reads the data frames of all datasets, by the names of the datasets.

    Args:
      package: a ``.deb``, or a folder with ``.rda`` files.

    Raises:
      MissingExtraError: if rdata is not installed.
      FileNotFoundError: if the package does not exist or lacks a data frame.
      ValueError: if the package is damaged.
    """
    rdata = import_rdata()
    wanted = [f"{table.name}.rda" for table in TABLES.values()]
    if not os.path.exists(package):
        raise FileNotFoundError(f"there is no {package}. {_BY_HAND}")
    read = _in_folder if os.path.isdir(package) else _in_deb
    found = dict(read(package, wanted))
    lacking = ", ".join(file for file in wanted if file not in found)
    if lacking:
        raise FileNotFoundError(f"{package} holds no {lacking}. {_BY_HAND}")
    frames = {}
    for (name, table), file in zip(TABLES.items(), wanted, strict=True):
        # Damaged bytes make rdata raise errors of many kinds.
        try:
            content = rdata.read_rda(io.BytesIO(found[file]), default_encoding="utf-8")
            frames[name] = content[table.name]
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{file} in {package} cannot be read: {error!r}") from error
    return frames


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


def holds(path: str, dataset: Dataset) -> bool:
    """Returns whether a file holds these arrays, with the same types."""
    try:
        found = data.load_npz(path)
    except (FileNotFoundError, ValueError):  # not there, or no dataset
        return False
    expected = _arrays(dataset)
    return all(
        array.dtype == expected[key].dtype and np.array_equal(array, expected[key])
        for key, array in _arrays(found).items()
    )


def write(path: str, dataset: Dataset) -> None:
    """Writes a ``.npz`` file, which is there as a whole or not at all."""
    with files.replacing(path) as part, open(part, "xb") as file:
        np.savez(file, **_arrays(dataset))  # type: ignore[arg-type]


def _arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    return {key: getattr(dataset, key) for key in ("x_train", "y_train", "x_test", "y_test")}


def _download(folder: str) -> str:
    """Lets apt-get put the package into a folder, and returns its path."""
    command = ["apt-get", "download", PACKAGE]
    print(f"downloading {PACKAGE} into a temporary folder: {' '.join(command)}", flush=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no apt-get here. {_BY_HAND}") from error
    found = glob.glob(os.path.join(folder, f"{PACKAGE}_*.deb"))
    if done.returncode or not found:
        (*_, why) = ["nothing", *done.stderr.splitlines()]
        raise FileNotFoundError(
            f"apt-get could not download {PACKAGE} and said: {why}. apt-get update may help. "
            f"{_BY_HAND}"
        )
    return found[0]


def _in_folder(folder: str, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields files that lie anywhere in a folder, by their bare names."""
    for parent, _, names in os.walk(folder):
        for name in set(names) & set(wanted):
            with open(os.path.join(parent, name), "rb") as file:
                yield name, file.read()


def _in_deb(path: str, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields files of a ``.deb`` by their bare names; nothing is unpacked to disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_tar(path))) as tar:
            for member in tar:
                name = os.path.basename(member.name)
                content = tar.extractfile(member) if name in wanted else None
                if content:
                    yield name, content.read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged, or not a .deb: {error}") from error


def _tar(path: str) -> bytes:
    """Returns the archive of files in a ``.deb``, compressed unless dpkg-deb has undone that."""
    if shutil.which("dpkg-deb"):  # knows all compressions, while Python lacks that of Ubuntu
        command = ["dpkg-deb", "--fsys-tarfile", os.path.abspath(path)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr.decode(errors="replace").strip())
        return done.stdout
    with open(path, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("it does not begin as an ar archive")
        while header := file.read(60):
            size = int(header[48:58])
            content = file.read(size)
            if header.startswith(b"data.tar"):
                return content
            file.seek(size % 2, os.SEEK_CUR)
    raise ValueError("it holds no data.tar")


def main(arguments: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> None:
    """Makes the datasets as the flags say; errors end the program with a message."""
    if len(arguments) > 1:
        sys.exit(f"error: not a flag: {' '.join(arguments[1:])}; flags begin with --, see --help")
    try:
        prepare(values.to, values.package, overwrite=values.overwrite)
    except (OSError, ValueError, extras.MissingExtraError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    define()
    app.run(main)
