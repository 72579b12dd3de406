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

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """The pairs as they are multiplied.

        The devices share the samples of the first set of a pair, and each gathers those of the
        second, which should be the smaller one.
        """
        if self.devices == 1:
            return self.pairs
        return tuple((i, j) if self.sizes[i] >= self.sizes[j] else (j, i) for i, j in self.pairs)
