"""The environments of the peers, created with pip."""

from __future__ import annotations

import json
import pathlib
import subprocess

# Each list is one call of pip. The last jaxlib with which all of neural-tangents works needs NumPy
# and SciPy versions from its time; --no-deps leaves out TensorFlow, which is not used here.
PINS: dict[str, list[list[str]]] = {
    "neural_tangents": [
        ["jax==0.4.23", "jaxlib==0.4.23", "numpy==1.26.4", "scipy==1.12.0", "ml_dtypes==0.5.4"],
        ["frozendict==2.5.1", "typing_extensions"],
        ["--no-deps", "neural-tangents==0.6.5"],
    ],
    "torch": [["torch==2.13.0", "numpy"]],
}
"""The packages in each environment, by the name of the peer's module in this package."""


def pins() -> str:
    """Returns the packages in all environments as one line."""
    return " ".join(package for peer in PINS.values() for call in peer for package in call)


def make(peer: str, folder: str, python: str) -> str:
    """Creates a peer's environment, unless it already exists.

    Args:
      peer: a key of ``PINS``.
      folder: the folder for environments.
      python: the interpreter that creates the environment.

    Returns:
      The path of the environment's interpreter.
    """
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
