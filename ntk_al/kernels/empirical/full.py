"""The tangent kernel of every pair of logits, LC × LC, the plainest way: Jacobian times Jacobian.

For small problems, and to see what the kernel of one read-out leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, memory
from ntk_al.network import Network
from ntk_al.network.network import DIVERGED
from ntk_al.types import Array, ArrayLike, GramBlocks

_CHUNK = 16  # samples that are differentiated at once


def full_gram(
    network: Network,
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    memory_budget: int | None = None,
) -> Array:
    """Θ(x1 c, x2 d) = ⟨∂f_c(x1)/∂θ, ∂f_d(x2)/∂θ⟩, ``[N1·C, N2·C]``; logit c of n is row n·C + c.

    Args:
      network: the trained network.
      x1: inputs, ``[N1, ...]``.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1``.
      memory_budget: bytes for Jacobians and result; ``None`` means most of what is free.

    Raises:
      TypeError, ValueError: as ``gram``; Jacobians that do not fit the budget.
    """
    sets = {"x1": x1} if x2 is None else {"x1": x1, "x2": x2}
    rows = _rows(network, sets, memory_budget)
    return _finite(_product(rows["x1"], rows["x1" if x2 is None else "x2"]))


def full_blocks(
    network: Network, x_labeled: ArrayLike, x_query: ArrayLike, *, memory_budget: int | None = None
) -> GramBlocks:
    """The blocks for ``full_posterior.condition``; the query points are candidates and E.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_query: query points, ``[Q, ...]``.
      memory_budget: see ``full_gram``.

    Raises:
      TypeError, ValueError: as ``full_gram``.
    """
    rows = _rows(network, {"x_labeled": x_labeled, "x_query": x_query}, memory_budget)
    labeled, query = rows["x_labeled"], rows["x_query"]
    labeled_query, query_query = _product(labeled, query), _finite(_product(query, query))
    return GramBlocks(
        labeled=_finite(_product(labeled, labeled)),
        labeled_pool=labeled_query,
        labeled_eval=labeled_query,
        eval_pool=query_query,
        pool_diagonal=query_query.diagonal(),
    )


def full_diagonal(network: Network, x: ArrayLike) -> Array:
    """Θ(x, x) of each sample with itself, ``[N, ...]`` to ``[N, C, C]``."""
    checks.inputs("x", x)
    network.check(x)
    return _finite(_in_chunks(_own, network, x))


def _rows(
    network: Network, sets: dict[str, ArrayLike], memory_budget: int | None
) -> dict[str, Array]:
    """∂f/∂θ of every logit of the samples of each set, ``[N, C, P]``."""
    (first, x1), *_ = sets.items()
    for name, x in sets.items():
        checks.inputs(name, x)
        checks.same_example_shape(first, x1, name, x)
    num_rows = network.check(x1) * sum(len(x) for x in sets.values())
    num_parameters = _num_parameters(network)
    needed = 4 * num_rows * (2 * num_parameters + num_rows)
    available = memory.free() if memory_budget is None else memory_budget
    checks.positive("memory_budget", available)
    if needed > available:
        raise ValueError(
            f"the kernel of all logits needs about {math.ceil(needed / 2**20)} MiB for "
            f"{num_rows} logits and {num_parameters} parameters, and {available // 2**20} MiB may "
            "be used. Use readout='first_logit' or 'sum_logits', fewer examples or a smaller "
            "network, or raise memory_budget"
        )
    return {name: _in_chunks(_jacobian, network, x) for name, x in sets.items()}


def _in_chunks(
    function: Callable[[Network, Array], Array], network: Network, x: ArrayLike
) -> Array:
    """A row-wise function in chunks of samples, of which the last may be smaller."""
    starts = range(0, len(x), _CHUNK)
    return jnp.concatenate([function(network, jnp.asarray(x[i : i + _CHUNK])) for i in starts])


@jax.jit
def _jacobian(network: Network, x: Array) -> Array:
    def of_example(example: Array) -> Array:
        def logits(params: object) -> Array:
            return network.replace_params(params).logits(example[None])[0]

        leaves = jax.tree.leaves(jax.jacrev(logits)(network.params))
        return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], 1)

    return jax.vmap(of_example)(x)


@jax.jit
def _own(network: Network, x: Array) -> Array:
    rows = _jacobian(network, x)
    return jnp.einsum("ncp,ndp->ncd", rows, rows, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def _product(rows1: Array, rows2: Array) -> Array:
    rows1, rows2 = (rows.reshape(-1, rows.shape[-1]) for rows in (rows1, rows2))
    return jnp.matmul(rows1, rows2.T, precision=jax.lax.Precision.HIGHEST)


def _num_parameters(network: Network) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(network.params))


def _finite(theta: Array) -> Array:
    checks.finite("the kernel", theta, hint=DIVERGED)
    return theta
