"""The tangent kernel of every pair of logits, computed directly: Jacobian times Jacobian.

This kernel has shape ``[LC, LC]``. It is meant for small problems, and to show how well the kernel
of one read-out approximates it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al._utils import batches, checks, examples, memory
from ntk_al.kernels.empirical.rounding import exact_passes
from ntk_al.network import Network, parameters
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, GramBlocks, PyTree

_CHUNK = 16  # how many samples are differentiated at a time


def full_gram(
    network: Network,
    x1: PyTree,
    x2: PyTree | None = None,
    *,
    memory_budget: int | None = None,
) -> Array:
    """Computes ⟨∂f_c(x1)/∂θ, ∂f_d(x2)/∂θ⟩ for all pairs of inputs and all pairs of logits c, d.

    Args:
      network: the trained network.
      x1: inputs, ``[N1, ...]``.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1``.
      memory_budget: bytes for the Jacobians and the result; ``None`` allows most of the free
        memory.

    Returns:
      ``[N1·C, N2·C]``; row n·C + c belongs to logit c of input n, and columns likewise.

    Raises:
      TypeError: as ``kernels.gram``.
      ValueError: as ``kernels.gram``, or if the Jacobians exceed the budget.
    """
    sets = {"x1": x1} if x2 is None else {"x1": x1, "x2": x2}
    rows = _rows(network, sets, memory_budget)
    return _finite(_product(rows["x1"], rows["x1" if x2 is None else "x2"]))


def full_blocks(
    network: Network, x_labeled: PyTree, x_query: PyTree, *, memory_budget: int | None = None
) -> GramBlocks:
    """Computes the blocks of the kernel of all logits, for ``full_posterior.condition``.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_query: query points, which are both candidates and evaluation points, ``[Q, ...]``.
      memory_budget: see ``full_gram``.

    Returns:
      Blocks in which every point has C rows, as in ``full_gram``.

    Raises:
      TypeError: as ``full_gram``.
      ValueError: as ``full_gram``.
    """
    rows = _rows(network, {"x_labeled": x_labeled, "x_query": x_query}, memory_budget)
    labeled, query = rows["x_labeled"], rows["x_query"]
    labeled_query, query_query = _product(labeled, query), _finite(_product(query, query))
    return GramBlocks.square(_finite(_product(labeled, labeled)), labeled_query, query_query)


def full_diagonal(network: Network, x: PyTree) -> Array:
    """Computes the C × C kernel of each input with itself.

    Args:
      network: the trained network.
      x: inputs, ``[N, ...]``.

    Returns:
      ``[N, C, C]``.

    Raises:
      TypeError: as ``kernels.gram``.
      ValueError: as ``kernels.gram``.
    """
    examples.check("x", x)
    network.check(x)
    network, (x,) = parameters.widened(network, x)
    return _finite(_in_chunks(_own, network, x))


def _rows(network: Network, sets: dict[str, PyTree], memory_budget: int | None) -> dict[str, Array]:
    """Computes ∂f/∂θ for every logit and every sample of each set, ``[N, C, P]``."""
    (first, x1), *_ = sets.items()
    for name, x in sets.items():
        examples.check(name, x)
        examples.check_alike(first, x1, name, x)
    num_rows = network.check(x1) * sum(examples.count(x) for x in sets.values())
    num_parameters = _num_parameters(network)
    needed = 4 * num_rows * (2 * num_parameters + num_rows)
    available = memory.free() if memory_budget is None else memory_budget
    checks.positive("memory_budget", available)
    if needed > available:
        raise ValueError(
            f"the kernel of all logits needs about {memory.in_words(needed)} for "
            f"{num_rows} logits and {num_parameters} parameters, but may use only "
            f"{memory.in_words(available)}. Use readout='first_logit' or 'sum_logits', fewer "
            "examples or a smaller network, or raise memory_budget"
        )
    parameters.check_any(network)
    network, wide = parameters.widened(network, *sets.values())
    return {name: _in_chunks(_jacobian, network, x) for name, x in zip(sets, wide, strict=True)}


def _in_chunks(function: Callable[[Network, PyTree], Array], network: Network, x: PyTree) -> Array:
    """Applies a row-wise function to chunks of samples."""
    with exact_passes():
        return batches.map_batches(functools.partial(function, network), x, batch_size=_CHUNK)


@jax.jit
def _jacobian(network: Network, x: PyTree) -> Array:
    def of_example(example: PyTree) -> Array:
        def logits(values: list[Array]) -> Array:
            one = jax.tree.map(lambda a: a[None], example)
            return parameters.replace(network, values).logits(one)[0]

        leaves = jax.jacrev(logits)(parameters.parameters(network))
        return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], 1)

    return jax.vmap(of_example)(x)


@jax.jit
def _own(network: Network, x: PyTree) -> Array:
    rows = _jacobian(network, x)
    return jnp.einsum("ncp,ndp->ncd", rows, rows, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def _product(rows1: Array, rows2: Array) -> Array:
    rows1, rows2 = (rows.reshape(-1, rows.shape[-1]) for rows in (rows1, rows2))
    return jnp.matmul(rows1, rows2.T, precision=jax.lax.Precision.HIGHEST)


def _num_parameters(network: Network) -> int:
    return sum(math.prod(leaf.shape) for leaf in parameters.parameters(network))


def _finite(theta: Array) -> Array:
    checks.finite("the kernel", theta, hint=DIVERGED)
    return theta
