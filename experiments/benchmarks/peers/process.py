"""A peer's process, as used by the process that times it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

import jax
import numpy as np

from ntk_al import Network

IMPLEMENTATIONS: dict[str, tuple[str, ...]] = {
    "neural_tangents": (
        "neural-tangents JACOBIAN_CONTRACTION",
        "neural-tangents STRUCTURED_DERIVATIVES",
        "neural-tangents NTK_VECTOR_PRODUCTS",
    ),
    "torch": ("torch.func",),
}
"""The kernels of each peer, by the name of the peer's module in this package."""

_PACKAGE = str(__package__)


def write_arrays(path: str, network: Network, x: jax.Array) -> None:
    """Writes the inputs, and all variables under their paths, to a .npz file."""
    leaves = jax.tree_util.tree_leaves_with_path(network.variables)
    arrays: dict[str, Any] = {
        "/".join(key.key for key in keys): np.asarray(leaf) for keys, leaf in leaves
    }
    np.savez(path, x=np.asarray(x), **arrays)


class PeerProcess:
    """A process that runs ``worker.serve``; leaving this context manager ends the process.

    Attributes:
      implementations: the implementations of the kernel that the process provides.
      peak: the bytes that the last kernel took.
    """

    def __init__(
        self, peer: str, python: str, *, model: str, arrays: str, threads: int, folder: str
    ) -> None:
        """Starts the process.

        Args:
          peer: a key of ``IMPLEMENTATIONS``.
          python: the interpreter of the peer's environment.
          model: a key of ``networks.NETWORKS``.
          arrays: the file from ``write_arrays``.
          threads: the number of threads that the process may use.
          folder: the folder for its results.
        """
        self.implementations = IMPLEMENTATIONS[peer]
        self.peak = 0
        self._result = os.path.join(folder, f"{peer}.npy")
        self._process = subprocess.Popen(
            [python, "-m", f"{_PACKAGE}.{peer}", model, arrays, str(threads)],
            cwd=_path_of_this_project(folder),
            # Waiting threads must not occupy the cores while another contestant has its turn.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kernel(self, implementation: str, tile: int, num_examples: int) -> np.ndarray:
        """Computes Θ(x, x) of the first ``num_examples`` inputs, in tiles.

        Raises:
          RuntimeError: if the process has ended; it wrote the reason to standard error.
        """
        request = {"implementation": implementation, "tile": tile, "num_examples": num_examples}
        answer = self._ask({**request, "path": self._result})
        self.peak = answer["peak"]
        return np.load(self._result)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a peer has failed, with exit status {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # ends its input, and waits


def _path_of_this_project(folder: str) -> str:
    """Makes a folder that holds only our outermost package.

    Python searches the working directory first. If that were a folder of our own environment, a
    peer would find our JAX in it instead of its own.
    """
    outermost, *inner = _PACKAGE.split(".")
    path = os.path.join(folder, "path")
    if not os.path.isdir(path):
        os.mkdir(path)
        package = pathlib.Path(__file__).absolute().parents[len(inner)]
        os.symlink(package, os.path.join(path, outermost))
    return path
