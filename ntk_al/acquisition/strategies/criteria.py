"""MLMOC, EMOC, EER and flips: what a label would change, by the criteria of ``lookahead``."""

from __future__ import annotations

import dataclasses

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, Utility, facts
from ntk_al.lookahead import ALL_LOGITS, score_posterior, scoring
from ntk_al.types import Array


def of_criterion(name: str) -> Utility:
    """The utility of a criterion, a key of ``lookahead.CRITERIA``.

    As long as no label was revealed within the query it is ``lookahead.score``, tile by tile. After
    that it is ``lookahead.score_posterior``, whose covariance takes in one label after the other.
    """

    def utility(key: Array, candidates: CandidateSet) -> Utilities:
        del key
        options = dataclasses.replace(candidates.options, criterion=name)
        if candidates.observed or options.readout == ALL_LOGITS:
            belief = candidates.posterior
            scores = score_posterior(
                belief,
                criterion=name,
                reference=options.reference,
                num_candidates=candidates.problem.num_candidates,
            )
            return Utilities(scores, facts(belief))
        scores, factor = scoring.score_blocks(candidates.problem, candidates.blocks, options)
        return Utilities(scores, facts(factor))

    return utility
