"""Gram matrices of the tangent kernel: the public functions and the checks of their arguments."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax.sharding import Mesh

from ntk_al._utils import checks, examples, sharding
from ntk_al.kernels.empirical import execute
from ntk_al.kernels.empirical.rounding import PRECISIONS
from ntk_al.network import READOUTS, Network
from ntk_al.types import Array, GramBlocks, PyTree


def gram(
    network: Network,
    x1: PyTree,
    x2: PyTree | None = None,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> Array:
    """Computes the empirical tangent kernel Θ(x1, x2) = ⟨∂g(x1)/∂θ, ∂g(x2)/∂θ⟩ of one read-out g.

    One scalar read-out stands for all logits (Section 3.3 of the paper), so the kernel does not
    grow with C. It is exact for every network, and fast where parameters enter convolutions,
    products (``dot_general``) and lookups of rows.

    Args:
      network: the trained network; its BatchNorm statistics are treated as constants.
      x1: inputs, ``[N1, ...]``, or a pytree of arrays with a common first axis.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1`` and takes about half the work.
      readout: ``"first_logit"`` (the paper) or ``"sum_logits"`` (the authors' released code).
      precision: precision of the Jacobian's entries: ``"float32"``, ``"bfloat16_3x"``,
        ``"tensorfloat32"`` or ``"bfloat16"``. Sums are always in float32 or wider.
        ``kernels.PRECISIONS`` says how each rounds and which ridges it allows.
      memory_budget: bytes to use on each device; ``None`` allows most of the free memory.
      mesh: devices, along an axis named ``pool``, that share the work; ``None`` means one device.

    Returns:
      ``[N1, N2]``, in float32, or in float64 if the parameters are in float64.

    Raises:
      TypeError: if the network or an input has the wrong type.
      ValueError: if a name is unknown, shapes do not match, values are not finite, or the budget
        is too small.
    """
    sets: tuple[PyTree, ...] = (x1,) if x2 is None else (x1, x2)
    _check(network, dict(zip(("x1", "x2"), sets, strict=False)), readout, precision, mesh)
    (theta,), _ = execute.kernel_blocks(
        network,
        sets,
        ((0, len(sets) - 1),),
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
    )
    return theta


def diagonal(
    network: Network,
    x: PyTree,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
) -> Array:
    """Computes the diagonal of Θ(x, x), which holds the squared norm of each gradient ∂g(x)/∂θ.

    Args:
      network: the trained network.
      x: inputs, ``[N, ...]``.
      readout: see ``gram``.
      precision: see ``gram``.
      memory_budget: see ``gram``.

    Returns:
      ``[N]``.

    Raises:
      TypeError: as ``gram``.
      ValueError: as ``gram``.
    """
    _check(network, {"x": x}, readout, precision, None)
    _, (norms,) = execute.kernel_blocks(
        network,
        (x,),
        (),
        diagonals=(0,),
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
    )
    return norms


def blocks(
    network: Network,
    x_labeled: PyTree,
    x_pool: PyTree,
    x_eval: PyTree | None = None,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> GramBlocks:
    """Computes all blocks of the kernel that a look-ahead needs, from one record of each sample.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_pool: candidates, ``[U, ...]``.
      x_eval: points at which changes are measured, ``[E, ...]``; ``None`` means the candidates.
      readout: see ``gram``.
      precision: see ``gram``.
      memory_budget: see ``gram``.
      mesh: see ``gram``.

    Returns:
      The blocks, in the dtype of ``gram``.

    Raises:
      TypeError: as ``gram``.
      ValueError: as ``gram``.
    """
    sets = {"x_labeled": x_labeled, "x_pool": x_pool}
    if x_eval is not None:
        sets["x_eval"] = x_eval
    _check(network, sets, readout, precision, mesh)
    return unchecked_blocks(
        network,
        x_labeled,
        x_pool,
        x_eval,
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
    )


def unchecked_blocks(
    network: Network,
    x_labeled: PyTree,
    x_pool: PyTree,
    x_eval: PyTree | None = None,
    *,
    readout: str,
    precision: str,
    memory_budget: int | None,
    mesh: Mesh | None,
    padded: bool = False,
    labeled: bool = True,
    on_plan: Callable[[str], None] | None = None,
) -> GramBlocks:
    """``blocks`` without checks, for callers that have already scanned the large inputs.

    If ``padded``, every set is filled with zeros up to a size that similar sets share. Unless
    ``labeled``, Θ(L, L) is not computed, and empty. ``on_plan`` is called with the plan, in words.
    """
    sets: tuple[PyTree, ...] = (x_labeled, x_pool)
    pairs: tuple[tuple[int, int], ...] = ((0, 1), (1, 1))
    if x_eval is not None:
        sets, pairs = (*sets, x_eval), ((0, 1), (0, 2), (2, 1))
    if labeled:
        pairs = ((0, 0), *pairs)
    theta, norms = execute.kernel_blocks(
        network,
        sets,
        pairs,
        diagonals=() if x_eval is None else (1, 2),
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
        padded=padded,
        on_plan=on_plan,
    )
    return GramBlocks(
        labeled=theta.pop(0) if labeled else jnp.zeros((0, 0), theta[0].dtype),
        labeled_pool=theta[0],
        labeled_eval=theta[-2],
        eval_pool=theta[-1],
        pool_diagonal=norms[0] if norms else theta[-1].diagonal(),
        eval_diagonal=norms[1] if norms else theta[-1].diagonal(),
    )


def _check(
    network: Network,
    sets: dict[str, PyTree],
    readout: str,
    precision: str,
    mesh: Mesh | None,
) -> None:
    checks.one_of("readout", readout, READOUTS)
    checks.one_of("precision", precision, PRECISIONS)
    sharding.check(mesh)
    (first, x1), *_ = sets.items()
    for name, x in sets.items():
        examples.check(name, x)
        examples.check_alike(first, x1, name, x)
    network.check(x1)
