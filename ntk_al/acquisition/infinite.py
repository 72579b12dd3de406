"""Look-ahead with the infinite-width kernel in place of the trained network's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from ntk_al import checks, kernels, lookahead, posterior
from ntk_al.acquisition import look_ahead
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.kernels.infinite import choose_head
from ntk_al.posterior import Posterior
from ntk_al.types import Array, GramBlocks


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
    return scores, _diagnostics(candidates, belief)


def gp(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
    """‖e_j‖ Σ_x |w(x, j)|: the output change of a Gaussian process with an infinite-width kernel.

    The paper's baseline "GP" applies the expected model output change of Freytag et al. (ECCV 2014)
    and Käding et al. (BMVC 2018) to a Gaussian process; those define it for two classes and for
    regression. What is open was chosen so that it is MLMOC (Eq. 13) without any trained network:

    - the prior has mean zero and, as covariance, the NNGP kernel of the network's twin: what an
      infinitely wide network is before training (Lee et al. 2018, arXiv:1711.00165);
    - classification is regression on one-hot labels with noise λ, the same for every class, as
      Freytag et al. have it for ±1;
    - a candidate's label is the most likely one, argmax of the process's mean, where EMOC takes an
      expectation, for which a regression has no class probabilities;
    - a change is measured from the process's own mean, ``reference="linearized"`` in the words of
      ``lookahead``, whatever the options say: there is no network to measure from.
    """
    del key
    belief = gp_belief(candidates)
    scores = lookahead.score_posterior(belief, criterion="mlmoc", reference="linearized")
    return scores, _diagnostics(candidates, belief)


def ntk_belief(candidates: CandidateSet) -> Posterior:
    """The network retrained under the infinite-width tangent kernel, with all labels so far."""

    def condition() -> Posterior:
        return posterior.condition(
            _blocks(candidates, "ntk"),
            candidates.residual,
            candidates.network_logits,
            ridge=candidates.options.ridge,
        )

    return _with_observed(candidates, "infinite ntk", condition)


def gp_belief(candidates: CandidateSet) -> Posterior:
    """The Gaussian process given every label seen so far; its mean is in place of logits, too."""

    def condition() -> Posterior:
        num_classes = candidates.network.check(candidates.x_labeled)
        num_labeled, num_candidates = len(candidates.x_labeled), len(candidates.x)
        return posterior.condition(
            _blocks(candidates, "nngp"),
            checks.targets("y_labeled", candidates.y_labeled, num_labeled, num_classes),
            jnp.zeros((num_candidates, num_classes)),
            ridge=candidates.options.ridge,
        )

    belief = _with_observed(candidates, "gp", condition)
    return dataclasses.replace(belief, logits=belief.mean)


def gp_outputs(candidates: CandidateSet) -> Array:
    """The mean of the Gaussian process at the candidates, ``[U, C]``."""
    return gp_belief(candidates).mean


def _blocks(candidates: CandidateSet, kind: str) -> GramBlocks:
    return kernels.infinite_blocks(
        candidates.network.module,
        candidates.x_labeled,
        candidates.x,
        head=_head(candidates),
        kind=kind,
    )


def _head(candidates: CandidateSet) -> str:
    num = len(candidates.x_labeled) + len(candidates.x)
    return choose_head(num, None, candidates.x.shape[1:])


def _with_observed(
    candidates: CandidateSet, name: str, condition: Callable[[], Posterior]
) -> Posterior:
    """The belief after ``candidates.observed``: one rank-one update for each label that is new."""
    before = candidates.once(name, condition)
    latest: dict[tuple[tuple[int, int], ...], Posterior]
    latest = candidates.once(f"{name} after labels", dict)
    observed = candidates.observed
    seen = next((known for known in latest if known == observed[: len(known)]), ())
    belief = latest[seen] if seen else before
    if len(observed) > len(seen):
        rows, labels = np.transpose(observed[len(seen) :])
        belief = belief.observe(rows, labels, move_network=candidates.options.move_network)
        latest.clear()
        latest[observed] = belief
    return belief


def _diagnostics(candidates: CandidateSet, belief: Posterior) -> dict[str, float]:
    """Ridge, condition number, and whether the twin's head was pooled (1) or flattened (0)."""
    pooled = float(_head(candidates) == "pooled")
    return {**look_ahead.diagnostics(belief), "pooled_head": pooled}
