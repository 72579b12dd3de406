"""Gram matrices of the tangent kernel: the public functions, and what they refuse."""

from __future__ import annotations

from jax.sharding import Mesh

from ntk_al._utils import checks, sharding
from ntk_al.kernels.empirical import execute
from ntk_al.kernels.empirical.rounding import PRECISIONS
from ntk_al.network import READOUTS, Network
from ntk_al.types import Array, ArrayLike, GramBlocks


def gram(
    network: Network,
    x1: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> Array:
    """Θ(x1, x2) = ⟨∂g(x1)/∂θ, ∂g(x2)/∂θ⟩, the empirical tangent kernel of one read-out.

    The paper's Section 3.3: one scalar stands for all logits, so the kernel does not grow with C.
    The kernel is exact for every Flax network; convolutions, Dense and Embed layers are fast.

    Args:
      network: the trained network; BatchNorm is frozen and its statistics are constants.
      x1: inputs, ``[N1, ...]``.
      x2: inputs, ``[N2, ...]``; ``None`` means ``x1``, and half the work.
      readout: ``"first_logit"`` (the paper) or ``"sum_logits"`` (the authors' released code).
      precision: of the Jacobian's entries: ``"float32"``, ``"bfloat16_3x"``, ``"tensorfloat32"`` or
        ``"bfloat16"``, see ``kernels.PRECISIONS``; sums are in float32 or wider.
      memory_budget: bytes to use on each device; ``None`` means most of what is free.
      mesh: devices with an axis ``pool`` that share the work.

    Returns:
      ``[N1, N2]`` in float32, or float64 where the parameters are.

    Raises:
      TypeError, ValueError: inputs or a network that do not fit; a budget that is too small; a
        kernel that is not finite.
    """
    sets: tuple[ArrayLike, ...] = (x1,) if x2 is None else (x1, x2)
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
    x: ArrayLike,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
) -> Array:
    """The diagonal of Θ(x, x): the squared norm of each gradient, ``[N, ...]`` to ``[N]``."""
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
    x_labeled: ArrayLike,
    x_pool: ArrayLike,
    x_eval: ArrayLike | None = None,
    *,
    readout: str = "first_logit",
    precision: str = "float32",
    memory_budget: int | None = None,
    mesh: Mesh | None = None,
) -> GramBlocks:
    """Every block of the kernel that a look-ahead needs; each sample is differentiated once.

    Args:
      network: the trained network.
      x_labeled: labeled inputs, ``[L, ...]``.
      x_pool: candidates, ``[U, ...]``.
      x_eval: points whose change is measured, ``[E, ...]``; ``None`` means the candidates.
      readout: see ``gram``, as for all that follow.
      precision: of the Jacobian's entries.
      memory_budget: bytes to use on each device.
      mesh: devices that share the work.

    Raises:
      TypeError, ValueError: as ``gram``.
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
    x_labeled: ArrayLike,
    x_pool: ArrayLike,
    x_eval: ArrayLike | None = None,
    *,
    readout: str,
    precision: str,
    memory_budget: int | None,
    mesh: Mesh | None,
) -> GramBlocks:
    """``blocks`` of arguments that were checked already: inputs are large, and scanned once."""
    sets: tuple[ArrayLike, ...] = (x_labeled, x_pool)
    pairs: tuple[tuple[int, int], ...] = ((0, 0), (0, 1), (1, 1))
    if x_eval is not None:
        sets, pairs = (*sets, x_eval), ((0, 0), (0, 1), (0, 2), (2, 1))
    theta, norms = execute.kernel_blocks(
        network,
        sets,
        pairs,
        diagonals=() if x_eval is None else (1,),
        readout=readout,
        precision=precision,
        memory_budget=memory_budget,
        mesh=mesh,
    )
    return GramBlocks(
        labeled=theta[0],
        labeled_pool=theta[1],
        labeled_eval=theta[-2],
        eval_pool=theta[-1],
        pool_diagonal=norms[0] if norms else theta[-1].diagonal(),
    )


def _check(
    network: Network,
    sets: dict[str, ArrayLike],
    readout: str,
    precision: str,
    mesh: Mesh | None,
) -> None:
    checks.one_of("readout", readout, READOUTS)
    checks.one_of("precision", precision, PRECISIONS)
    sharding.check(mesh)
    (first, x1), *_ = sets.items()
    for name, x in sets.items():
        checks.inputs(name, x)
        checks.same_example_shape(first, x1, name, x)
    network.check(x1)
