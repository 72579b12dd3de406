"""How much work a kind of device should do at a time."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much work a kind of device should do at a time.

    Attributes:
      chunk: samples in one pass through the network.
      tile: approximate minimum number of samples in a tile of the Gram matrix. The cores of a CPU
        share the work of smaller products badly.
      bucket: the same for a set whose tiles are powers of two.
      smallest_bucket: the smallest such tile, so that the first labels of a loop share one.
      workspace: bytes for patches at a time.
      pair_workspace: bytes for the T×T matrices of pairs at a time.
      rows: bytes for a part of the rows at a time. On CPUs, mapping new memory can take longer
        than the computation.
    """

    chunk: int
    tile: int
    bucket: int
    smallest_bucket: int
    workspace: int
    pair_workspace: int
    rows: int


CPU = Limits(
    chunk=32,
    tile=384,
    bucket=256,
    smallest_bucket=128,
    workspace=2 * 2**20,
    pair_workspace=32 * 2**20,
    rows=16 * 2**20,
)
ACCELERATOR = Limits(
    chunk=256,
    tile=1024,
    bucket=1024,
    smallest_bucket=128,
    workspace=2**29,
    pair_workspace=2**30,
    rows=2**29,
)
