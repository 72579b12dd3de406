"""The code shared by the peers' processes. They run in other environments, so it needs only NumPy.

A worker reads requests from standard input, one JSON object per line. A request names the
implementation that should form the kernel, the number of examples, the size of the tiles, and the
file for the result. The worker answers with its peak memory. It lives until its input ends, so it
compiles only once.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..harness import memory

Kernel = Callable[[int, int], np.ndarray]  # from a tile and a number of examples


@dataclasses.dataclass(frozen=True)
class Task:
    """A network and its inputs, as the parent process wrote them.

    Attributes:
      model: a key of ``networks.NETWORKS``.
      threads: the number of threads that may be used.
      params: the parameters by Flax's names, such as ``Conv_0/kernel``.
      batch_stats: the running statistics by Flax's names.
      x: images, ``[N, H, W, channels]``.
    """

    model: str
    threads: int
    params: dict[str, np.ndarray]
    batch_stats: dict[str, np.ndarray]
    x: np.ndarray


def read_task(arguments: Sequence[str]) -> Task:
    """Reads the task from a command line: the model, the .npz file of arrays and the threads."""
    model, path, threads = arguments
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    collections: dict[str, dict[str, np.ndarray]] = {"params": {}, "batch_stats": {}}
    for name in arrays.keys() - {"x"}:
        collection, _, leaf = name.partition("/")
        collections[collection][leaf] = arrays[name]
    return Task(model, int(threads), x=arrays["x"], **collections)


def serve(kernels: Mapping[str, Kernel]) -> None:
    """Answers requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)

        def form(request: dict[str, Any] = request) -> None:
            kernel = kernels[request["implementation"]]
            np.save(request["path"], kernel(request["tile"], request["num_examples"]))

        print(json.dumps({"peak": memory.added_by(form)}), flush=True)
