"""Posteriors that were computed before, on disk; deleting them loses nothing but time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import warnings
import zipfile
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import files, float64
from ntk_al.lookahead.posterior import Posterior
from ntk_al.network import Network

FOLDER = "cache"

_KEPT = 2
_ROWS = "rows"


def digest(*parts: object) -> str:
    """Returns a digest of arrays and of the representations of other values."""
    result = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            result.update(repr((part.shape, str(part.dtype))).encode())
            result.update(np.ascontiguousarray(part).data)
        else:
            result.update(repr(part).encode())
        result.update(b"\0")
    return result.hexdigest()


def of_network(network: Network) -> str:
    """Returns a digest of the parameters and the state of a network."""
    leaves = jax.tree_util.tree_flatten_with_path((network.params, network.state))[0]
    parts: list[object] = [network.name]
    for path, leaf in leaves:
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        value = jax.random.key_data(leaf) if is_key else leaf
        is_array = isinstance(value, jax.Array | np.ndarray)
        parts += [jax.tree_util.keystr(path), np.asarray(value) if is_array else value]
    return digest(*parts)


class Cache:
    """The posteriors of a campaign, each under a key that says what it depends on.

    Args:
      folder: the folder of the campaign.
    """

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, FOLDER)

    def save(self, key: str, rows: np.ndarray, posterior: Posterior) -> None:
        """Saves a posterior, and removes all but the two newest. A full disk is only warned of.

        Args:
          key: what it depends on, apart from the candidates.
          rows: the candidates.
          posterior: at these candidates.

        Warns:
          UserWarning: if it cannot be saved.
        """
        arrays = {f.name: getattr(posterior, f.name) for f in dataclasses.fields(posterior)}
        path = self._path(key)
        try:
            os.makedirs(self._folder, exist_ok=True)
            with files.replacing(path) as part, open(part, "wb") as file:
                np.savez(file, **{_ROWS: rows, **jax.device_get(arrays)})
        except OSError as error:
            warnings.warn(
                f"{error}. The campaign goes on, but after a restart the posterior has to be "
                "computed again",
                stacklevel=2,
            )
            return
        for old in self._paths()[:-_KEPT]:
            with contextlib.suppress(OSError):
                os.remove(old)

    def load(self, key: str) -> tuple[np.ndarray, Posterior] | None:
        """Returns the candidates and the posterior under a key, or ``None`` if there is none."""
        names = [f.name for f in dataclasses.fields(Posterior)]
        try:
            with np.load(self._path(key), allow_pickle=False) as file:
                rows = file[_ROWS]
                arrays = {name: file[name] for name in names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # not there, or damaged
        with float64.widest(*arrays.values()):
            of_host = {name: jnp.asarray(a) for name, a in arrays.items()}
            return rows, Posterior(**float64.here(of_host))

    def _path(self, key: str) -> str:
        return os.path.join(self._folder, f"posterior-{key}.npz")

    def _paths(self) -> Sequence[str]:
        """All files, the newest last."""
        paths = [
            os.path.join(self._folder, name)
            for name in os.listdir(self._folder)
            if name.startswith("posterior-") and name.endswith(".npz")
        ]
        return sorted(paths, key=os.path.getmtime)
