"""How much work suits a kind of device at a time."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What suits a kind of device.

    Attributes:
      chunk: samples in one pass through the network.
      tile: about the least number of samples in a tile of the Gram matrix; CPUs share the work of
        smaller products badly.
      workspace: bytes of patches at a time.
      pair_workspace: bytes of the T×T matrices of pairs at a time.
      rows: bytes of a part of rows at a time; on CPUs freshly mapped memory costs more than work.
    """

    chunk: int
    tile: int
    workspace: int
    pair_workspace: int
    rows: int


CPU = Limits(chunk=32, tile=384, workspace=2 * 2**20, pair_workspace=32 * 2**20, rows=16 * 2**20)
ACCELERATOR = Limits(chunk=256, tile=1024, workspace=2**29, pair_workspace=2**30, rows=2**29)
