"""MLMOC, EMOC, EER and flips: the criteria of ``lookahead`` on the posterior of the candidates."""

from __future__ import annotations

from ntk_al import lookahead
from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.look_ahead import diagnostics
from ntk_al.acquisition.strategy import Utility
from ntk_al.types import Array


def of_criterion(name: str) -> Utility:
    """The utility of a criterion of ``lookahead.CRITERIA``, on the posterior of the candidates."""

    def utility(key: Array, candidates: CandidateSet) -> tuple[Array, dict[str, float]]:
        del key
        belief = candidates.posterior
        scores = lookahead.score_posterior(
            belief, criterion=name, reference=candidates.options.reference
        )
        return scores, diagnostics(belief)

    return utility
