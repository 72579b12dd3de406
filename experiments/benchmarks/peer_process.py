"""The peers' environments, and a process in one of them that forms kernels when asked."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np

# Each list is one call of pip. The last jaxlib with which all of neural-tangents works asks for a
# NumPy and a SciPy of its time; --no-deps leaves out TensorFlow, which it would not use.
PINS: dict[str, list[list[str]]] = {
    "neural_tangents": [
        ["jax==0.4.23", "jaxlib==0.4.23", "numpy==1.26.4", "scipy==1.12.0", "ml_dtypes==0.5.4"],
        ["frozendict==2.5.1", "typing_extensions"],
        ["--no-deps", "neural-tangents==0.6.5"],
    ],
    "torch": [["torch==2.13.0", "numpy"]],
}
PEERS: dict[str, tuple[str, ...]] = {
    "neural_tangents": (
        "neural-tangents JACOBIAN_CONTRACTION",
        "neural-tangents STRUCTURED_DERIVATIVES",
        "neural-tangents NTK_VECTOR_PRODUCTS",
    ),
    "torch": ("torch.func",),
}
"""Implementations of each peer, by the name of its environment and of its ``peer_`` module."""

_ROOT = pathlib.Path(__file__).parents[2]


def pins() -> str:
    """What the environments are made of, as one line."""
    return " ".join(package for peer in PINS.values() for call in peer for package in call)


def make_environment(peer: str, folder: str, python: str) -> str:
    """The interpreter of a peer's environment, which is made first if it is not there."""
    environment = pathlib.Path(folder).absolute() / peer
    interpreter = environment / "bin" / "python"
    installed, pins = environment / "installed.json", json.dumps(PINS[peer])
    if not installed.exists() or installed.read_text() != pins:
        print(f"making {environment}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
        for packages in PINS[peer]:
            subprocess.run([interpreter, "-m", "pip", "install", "-q", *packages], check=True)
        installed.write_text(pins)
    return str(interpreter)


class PeerProcess:
    """A process that runs ``peer_worker.serve``; a context manager that ends it.

    Attributes:
      implementations: of the kernel, that it has.
      peak: bytes that its last kernel took.
    """

    def __init__(self, peer: str, python: str, arguments: Sequence[str], folder: str) -> None:
        self.implementations = PEERS[peer]
        self.peak = 0
        self._result = os.path.join(folder, f"{peer}.npy")
        self._process = subprocess.Popen(
            [python, "-m", f"experiments.benchmarks.peer_{peer}", *arguments],
            cwd=_ROOT,
            # Threads that wait for work must not take the cores from whose turn it is.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kernel(self, implementation: str, tile: int, num_examples: int) -> np.ndarray:
        """Θ(x, x) of the first inputs.

        Raises:
          RuntimeError: the process has ended; it wrote the reason to standard error.
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
