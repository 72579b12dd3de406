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

import os
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from ntk_al import data
from ntk_al._utils import extras, files
from ntk_al.data import Dataset

from .mlbench import package as packages
from .mlbench import tables

try:
    with extras.needed("experiments need", "absl-py", extra="experiments"):
        from absl import app, flags
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("to", "data", "The folder for the .npz files.", flag_values=values)
    flags.DEFINE_string(
        "package",
        None,
        f"The .deb of {packages.PACKAGE}, or a folder that holds LetterRecognition.rda and "
        "Satellite.rda at any depth, such as that of an installed mlbench; default: apt-get "
        "downloads the .deb.",
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
    packages.import_rdata()  # before the download
    if package is None:
        with tempfile.TemporaryDirectory() as folder:
            frames = packages.read_frames(packages.download(folder))
    else:
        frames = packages.read_frames(package)
    datasets = {
        name: tables.to_dataset(name, table, frames[name]) for name, table in tables.TABLES.items()
    }
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
