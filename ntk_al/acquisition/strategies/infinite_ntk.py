"""Look-ahead with the infinite-width kernel in place of the trained network's own."""

from __future__ import annotations

from ntk_al import lookahead
from ntk_al.acquisition import infinite_belief
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.lookahead import posterior
from ntk_al.lookahead.posterior import Posterior
from ntk_al.types import Array


def infinite_ntk(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """``options.criterion`` with the infinite-width tangent kernel of the network's twin.

    The paper compares with "the infinite NTK" and does not define it, and its released code has
    none. Here it is Eq. 11 with only the kernel exchanged: f is still the trained network and
    R = Y − f(X_L) its residual, so the comparison tells what the empirical kernel has learned. The
    kernel is that of the network's twin, which has no BatchNorm (``kernels.twins``).
    """
    del key
    belief = ntk_belief(candidates)
    options = candidates.options
    scores = lookahead.score_posterior(
        belief, criterion=options.criterion, reference=options.reference
    )
    return scores, infinite_belief.diagnostics(candidates, belief)


def ntk_belief(candidates: CandidateSet) -> Posterior:
    """The network retrained under the infinite-width tangent kernel, with all labels so far."""

    def condition() -> Posterior:
        return posterior.condition(
            infinite_belief.blocks(candidates, "ntk"),
            candidates.residual,
            candidates.network_logits,
            ridge=candidates.options.ridge,
        )

    return infinite_belief.with_observed(candidates, "infinite ntk", condition)
