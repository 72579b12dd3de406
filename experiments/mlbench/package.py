"""The package itself: a ``.deb`` or a folder, read without R and without unpacking to disk."""

from __future__ import annotations

import glob
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from ntk_al._utils import extras

from .tables import TABLES

PACKAGE = "r-cran-mlbench"
_BY_HAND = f"Download {PACKAGE}_*.deb from any mirror of Debian or Ubuntu, and pass --package=PATH."


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


def download(folder: str) -> str:
    """Lets apt-get put the package into a folder, and returns its path.

    Raises:
      FileNotFoundError: if it cannot.
    """
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
