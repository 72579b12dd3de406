"""What a plan is made for: blocks of the kernel between sets of samples, described by shapes."""

from __future__ import annotations

import dataclasses

from ntk_al.kernels.empirical.factors import Layer, Leaf
from ntk_al.kernels.empirical.rounding import Product


@dataclasses.dataclass(frozen=True)
class Demand:
    """What has to be computed: blocks of the kernel between sets of samples.

    Attributes:
      layers: parameters with a rule.
      leaves: parameters without a rule.
      sizes: the number of samples in each set.
      pairs: the blocks to compute, as pairs of indices of sets.
      product: how entries are multiplied; its precision decides the size of stored rows.
      example_bytes: bytes of one input.
      entry_bytes: bytes of one entry of the kernel.
      devices: the number of devices that share each tile.
      buckets: whether the tiles of each set are powers of two, see ``choose_tiling``.
    """

    layers: tuple[Layer, ...]
    leaves: tuple[Leaf, ...]
    sizes: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    product: Product
    example_bytes: int
    entry_bytes: int = 4
    devices: int = 1
    buckets: bool = False
