"""Look-ahead with the infinite-width kernel in place of the trained network's own."""

from __future__ import annotations

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategies.criteria import scores_of
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.kernels.infinite.gram import choose_head
from ntk_al.lookahead import posterior, ridges
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array, GramBlocks


def infinite_ntk(key: Array, candidates: CandidateSet) -> Utilities:
    """``options.criterion`` with the infinite-width tangent kernel of the network's twin.

    The paper compares with "the infinite NTK" but does not define it, and its released code does
    not contain it. This implementation uses Eq. 11 and replaces only the kernel: f is still the
    trained network, and R = Y − f(X_L) is its residual. A comparison with MLMOC therefore shows
    what the empirical kernel has learned. The twin of the network has no BatchNorm, see
    ``kernels.infinite.twins``.

    Args:
      key: unused.
      candidates: the candidates.
    """
    del key
    belief = candidates.conditioned(_condition)
    return Utilities(scores_of(belief, candidates), twin_facts(candidates, belief))


def infinite_ntk_outputs(candidates: CandidateSet) -> Array:
    """Computes the network's outputs after the labels that have moved them, ``[U, C]``."""
    return candidates.conditioned(_condition).logits[: len(candidates.x)]


def twin_blocks(given: CandidateSet, kind: str) -> GramBlocks:
    """Computes the blocks of a kernel of the network's infinite-width twin.

    The query points are the candidates, followed by the evaluation points, if any.

    Args:
      given: the candidates.
      kind: ``"ntk"`` or ``"nngp"``.
    """
    return kernels.infinite_blocks(
        given.network.module,
        given.x_labeled,
        given.problem.with_one_set().x_pool,
        head=_head(given),
        kind=kind,
        memory_budget=given.options.memory_budget,
    )


def twin_facts(candidates: CandidateSet, belief: Posterior) -> dict[str, float]:
    """Returns diagnostics: ridge, condition number, and whether the twin's head was pooled (1)."""
    return {**facts(belief), "pooled_head": float(_head(candidates) == "pooled")}


def _condition(given: CandidateSet) -> Posterior:
    """Computes the posterior under the infinite-width tangent kernel before any further label."""
    logits = given.problem.with_one_set().pool_logits
    theta = twin_blocks(given, "ntk")
    ridge = ridges.resolved(
        given.options.ridge, theta.labeled, given.problem.targets, given.x_labeled
    )
    return posterior.condition(theta, given.residual, logits, ridge=ridge)


def _head(candidates: CandidateSet) -> str:
    num = len(candidates.x_labeled) + len(candidates.problem.with_one_set().x_pool)
    return choose_head(num, None, candidates.x.shape[1:])
