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

    def keep(self, recorded: PyTree, product: Product, workspace: int) -> PyTree:
        """Reduces the records of a pass to what the step keeps."""
        ...


@dataclasses.dataclass(frozen=True)
class LeafRows:
    """The parameters without a rule; their gradients are the rows."""

    leaves: tuple[Leaf, ...]
    layers: ClassVar[tuple[Layer, ...]] = ()

    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of the rounded row of a sample."""
        return sum(leaf.size for leaf in self.leaves) * product.stored_bytes(entry_bytes)

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

    def keep(self, recorded: Factor, product: Product, workspace: int) -> Array:
        """Computes the rounded rows from the factors."""
        return product.round(routes.rows(self.layer, recorded, product, workspace))


@dataclasses.dataclass(frozen=True)
class _FactorStep(_LayerStep):
    def kept_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of the factors of a sample, which are never rounded."""
        del product, entry_bytes
        return self.layer.num_factor_entries * _FACTOR_BYTES

    def keep(self, recorded: Factor, product: Product, workspace: int) -> Factor:
        """Returns the factors unchanged."""
        del product, workspace
        return recorded


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

    def part_bytes(self, product: Product, entry_bytes: int) -> int:
        """Returns the bytes of a part of a sample's row, both before and after rounding."""
        width = self.layer.num_groups * self.layer.window_size * self.columns
        return width * (entry_bytes + product.stored_bytes(entry_bytes))

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

    def pair_bytes(self, tile: int, workspace: int) -> int:
        """Returns the bytes of the T×T matrices of all pairs that are computed at a time.

        Args:
          tile: the number of samples in a tile.
          workspace: bytes that the matrices should take. At least one sample of a tile is paired
            with the whole other tile at a time, even if that exceeds the workspace.
        """
        of_sample = tile * routes.pair_bytes(self.layer)
        return max(of_sample, min(workspace, of_sample * tile))

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

    def keep(self, factors: Factors, product: Product, workspace: int) -> tuple[PyTree, ...]:
        """Reduces the factors of a pass to what each step keeps."""
        recorded: list[PyTree] = [*factors.of_layers]
        if self.leaves:
            recorded.append(factors.leaves)
        return tuple(
            step.keep(of_step, product, workspace)
            for step, of_step in zip(self.steps, recorded, strict=True)
        )
