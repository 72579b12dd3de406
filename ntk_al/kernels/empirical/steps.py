"""The steps of a plan. Each adds the contribution of one layer, or of all leaves, to Θ.

Between the pass through the network and the products of pairs, a step keeps either the rows
``[N, size]`` of the Jacobian, or the factors from which these rows can be computed.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from ntk_al.kernels.empirical import routes
from ntk_al.kernels.empirical.factors import Factor, Factors, Layer, Leaf
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.types import Array, PyTree

_FACTOR_BYTES = 4  # bytes per entry of a factor: layers compute in float32
_COPIES_OF_FACTORS = 1.5  # that XLA makes to multiply them
_COPIES_OF_PATCHES = 2


@dataclasses.dataclass(frozen=True)
class Work:
    """The products of two tiles, of which a step tells how much memory they take.

    Attributes:
      samples: the number of samples in all tiles, on each device.
      rows: the number of samples in the first tile, on each device.
      columns: the number of samples in the second tile, which is gathered from all devices.
      devices: the number of devices.
      product: how entries are multiplied.
      entry_bytes: bytes of one entry of the kernel.
      workspace: bytes for the T×T matrices of pairs at a time.
    """

    samples: int
    rows: int
    columns: int
    devices: int
    product: Product
    entry_bytes: int
    workspace: int

    def bytes_of(self, width: int) -> int:
        """Returns the bytes in use while rows of this width are multiplied."""
        result = self.rows * self.columns * self.entry_bytes
        if self.devices == 1:
            return result + self.rounded_bytes((self.rows + self.columns) * width)
        stored = self.product.stored_bytes(self.entry_bytes)
        gathered = self.columns * width * stored  # and rounded in place
        if stored < self.entry_bytes and self.product.backend == "cpu":
            gathered += self.columns * width * self.entry_bytes  # CPUs exchange wide numbers
        return result + gathered + self.rounded_bytes(self.rows * width)

    def rounded_bytes(self, entries: int) -> int:
        """Returns the bytes of the rounded copies of operands."""
        return entries * self.entry_bytes if self.product.rounds_operands else 0


class Step(Protocol):
    """A step of a plan; hashable, because programs are compiled for it."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose factors the step needs."""
        ...

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves whose gradients the step needs."""
        ...

    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes that are kept of a sample.

        Args:
          product: how entries are multiplied.
          entry_bytes: bytes of one entry of the kernel.
        """
        ...

    def product_bytes(self, work: Work) -> int:
        """Returns the bytes in use by products, besides what is kept and the kernel."""
        ...


@dataclasses.dataclass(frozen=True)
class LeafRows:
    """The parameters without a rule; their gradients are the rows."""

    leaves: tuple[Leaf, ...]
    layers: ClassVar[tuple[Layer, ...]] = ()

    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of the rounded row of a sample."""
        return sum(leaf.size for leaf in self.leaves) * product.stored_bytes(entry_bytes)

    def product_bytes(self, work: Work) -> int:
        """Returns the bytes of products of rows."""
        return work.bytes_of(sum(leaf.size for leaf in self.leaves))

    def keep(self, recorded: tuple[Array, ...], product: Product, workspace: int) -> Array:
        """Concatenates and rounds the gradients of all leaves."""
        del workspace
        return product.round(jnp.concatenate(recorded, 1))


@dataclasses.dataclass(frozen=True)
class _LayerStep:
    layer: Layer
    leaves: ClassVar[tuple[Leaf, ...]] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The one layer of the step."""
        return (self.layer,)


@dataclasses.dataclass(frozen=True)
class LayerRows(_LayerStep):
    """A layer whose rows are kept."""

    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of the rounded row of a sample."""
        return self.layer.num_parameters * product.stored_bytes(entry_bytes)

    def product_bytes(self, work: Work) -> int:
        """Returns the bytes of products of rows."""
        return work.bytes_of(self.layer.num_parameters)

    def keep(self, recorded: Factor, product: Product, workspace: int) -> Array:
        """Computes the rounded rows from the factors."""
        return product.round(routes.rows(self.layer, recorded, product, workspace))


@dataclasses.dataclass(frozen=True)
class _FactorStep(_LayerStep):
    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of the factors of a sample, which are never rounded."""
        del product, entry_bytes
        return self.layer.num_factor_entries * _FACTOR_BYTES


@dataclasses.dataclass(frozen=True)
class LayerParts(_FactorStep):
    """A layer whose rows are larger than its factors, so they are computed and used in parts.

    Attributes:
      columns: the number of output channels in a part of the rows.
    """

    columns: int

    def parts(self) -> list[tuple[int, int]]:
        """Lists the window and the first output channel of each part."""
        channels = range(0, self.layer.num_channels, self.columns)
        return list(itertools.product(range(self.layer.num_windows), channels))

    def product_bytes(self, work: Work) -> int:
        """Returns the bytes of a part of all rows, and of computing or multiplying it."""
        layer, product = self.layer, work.product
        width = layer.num_groups * layer.window_size * self.columns
        patches = layer.num_positions * layer.num_groups * (layer.window_size + self.columns)
        largest = max(work.rows, work.columns // work.devices)
        rounded = work.entry_bytes * width if product.rounds_stored else 0
        computing = largest * (_FACTOR_BYTES * patches + rounded)
        return work.samples * width * product.stored_bytes(work.entry_bytes) + max(
            computing, work.bytes_of(width)
        )

    def rows(self, factor: Factor, window: Array, start: Array, product: Product) -> Array:
        """Computes the part of the rows in one window, from output channel ``start`` on."""
        rows = routes.window_rows(self.layer, factor, window, start, self.columns, product)
        return product.round(rows)


@dataclasses.dataclass(frozen=True)
class LayerPairs(_FactorStep):
    """A layer whose rows are never computed: factors are multiplied for each pair of samples.

    Attributes:
      route: a key of ``routes.PAIR_ROUTES``.
    """

    route: str

    def product_bytes(self, work: Work) -> int:
        """Estimates the bytes of the T×T matrices of pairs at a time, and of what is multiplied.

        At least one sample of a tile is paired with the whole other tile at a time, even if that
        exceeds the workspace.
        """
        of_sample = work.columns * routes.pair_bytes(self.layer, self.route)
        matrices = max(of_sample, min(work.workspace, of_sample * work.rows))
        factors = (work.rows + work.columns) * self.layer.num_factor_entries
        copies = _COPIES_OF_FACTORS * _FACTOR_BYTES * factors
        if self.route == "unfolded" and self.layer.num_windows > 1:
            patches = self.layer.num_positions * self.layer.num_groups * self.layer.patch_size
            copies += _COPIES_OF_PATCHES * _FACTOR_BYTES * work.columns * patches
        return int(matrices + copies + work.rounded_bytes(factors))

    def theta(self, factor1: Factor, factor2: Factor, product: Product, workspace: int) -> Array:
        """Computes the layer's part of Θ for all pairs of samples, ``[N1, N2]``."""
        route = routes.PAIR_ROUTES[self.route]
        return route(self.layer, factor1, factor2, product, workspace)

    def diagonal(self, factor: Factor, product: Product, workspace: int) -> Array:
        """Computes the layer's part of Θ for every sample with itself, ``[N]``."""

        def of_sample(factor: Factor) -> Array:
            one = jax.tree.map(lambda a: a[None], factor)
            return self.theta(one, one, product, workspace)[0, 0]

        return jax.vmap(of_sample)(factor)


Reducing = LayerRows | LeafRows
"""The steps that keep less than the records of a pass; the others keep these as they are."""


@dataclasses.dataclass(frozen=True)
class Group:
    """The steps that share one pass through the network; a step of leaves must be the last."""

    steps: tuple[Step, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of its steps."""
        return tuple(layer for step in self.steps for layer in step.layers)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves of its steps."""
        return tuple(leaf for step in self.steps for leaf in step.leaves)

    def records(self, factors: Factors) -> tuple[PyTree, ...]:
        """Returns the records of each step."""
        leaves = (factors.leaves,) if self.leaves else ()
        return (*factors.of_layers, *leaves)

    @property
    def reducing(self) -> tuple[Reducing, ...]:
        """The steps that keep less than their records."""
        return tuple(step for step in self.steps if isinstance(step, Reducing))

    def reduced(self, records: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
        """Returns the records of the steps that keep less."""
        return tuple(
            r for step, r in zip(self.steps, records, strict=True) if isinstance(step, Reducing)
        )
