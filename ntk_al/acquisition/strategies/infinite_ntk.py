"""Look-ahead with the infinite-width kernel in place of the trained network's own."""

from __future__ import annotations

from ntk_al import kernels
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, facts
from ntk_al.kernels.infinite.gram import choose_head
from ntk_al.lookahead import posterior, score_posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array, GramBlocks


def infinite_ntk(key: Array, candidates: CandidateSet) -> Utilities:
    """``options.criterion`` with the infinite-width tangent kernel of the network's twin.

    The paper compares with "the infinite NTK" and does not define it, and its released code has
    none. Here it is Eq. 11 with only the kernel exchanged: f is still the trained network and
    R = Y − f(X_L) its residual, so the comparison tells what the empirical kernel has learned. The
    kernel is that of the network's twin, which has no BatchNorm (``kernels.twins``).
    """
    del key
    belief, options = candidates.conditioned(_condition), candidates.options
    scores = score_posterior(
        belief,
        criterion=options.criterion,
        reference=options.reference,
        num_candidates=candidates.problem.num_candidates,
    )
    return Utilities(scores, twin_facts(candidates, belief))


def twin_blocks(given: CandidateSet, kind: str) -> GramBlocks:
    """Blocks of a kernel of the network's infinite-width twin, ``"ntk"`` or ``"nngp"``.

    The query points are the candidates and then the evaluation points, if there are others.
    """
    return kernels.infinite_blocks(
        given.network.module,
        given.x_labeled,
        given.problem.with_one_set().x_pool,
        head=_head(given),
        kind=kind,
    )


def twin_facts(candidates: CandidateSet, belief: Posterior) -> dict[str, float]:
    """Ridge, condition number, and whether the twin's head was pooled (1) or flattened (0)."""
    return {**facts(belief), "pooled_head": float(_head(candidates) == "pooled")}


def _condition(given: CandidateSet) -> Posterior:
    """The network retrained under the infinite-width tangent kernel, before any further label."""
    logits = given.problem.with_one_set().pool_logits
    return posterior.condition(
        twin_blocks(given, "ntk"), given.residual, logits, ridge=given.options.ridge
    )


def _head(candidates: CandidateSet) -> str:
    num = len(candidates.x_labeled) + len(candidates.problem.with_one_set().x_pool)
    return choose_head(num, None, candidates.x.shape[1:])
