"""The criteria of ``lookahead`` as strategies."""

from __future__ import annotations

import dataclasses

import numpy as np

from ntk_al.acquisition.candidates import CandidateSet
from ntk_al.acquisition.strategy import Utilities, Utility, facts
from ntk_al.lookahead import from_kernel, score_posterior
from ntk_al.lookahead.belief import Belief
from ntk_al.lookahead.greedy import among_all
from ntk_al.lookahead.landmarks import LandmarkPosterior
from ntk_al.lookahead.probabilities import needed
from ntk_al.types import Array, ArrayLike


def scores_of(
    belief: Belief,
    candidates: CandidateSet,
    criterion: str | None = None,
    *,
    reference: str | None = None,
) -> ArrayLike:
    """Scores candidates from a posterior, ``[U]``.

    Args:
      belief: the posterior at the candidates, followed by the evaluation points, if any.
      candidates: the candidates.
      criterion: a key of ``lookahead.CRITERIA``; ``None`` means ``candidates.options.criterion``.
      reference: what changes are measured from; ``None`` means ``candidates.reference``.
    """
    options = candidates.options.scoring(criterion or candidates.options.criterion)
    num, rows = len(candidates.x), None
    if isinstance(belief, LandmarkPosterior) and 2 * len(candidates.excluded) > num:
        rows = np.setdiff1d(np.arange(num), candidates.excluded)
    scores = score_posterior(
        belief,
        criterion=options.criterion,
        reference=reference or candidates.reference,
        num_candidates=candidates.problem.num_candidates,
        predictive=candidates.predictive if needed(options.criterion, options.task) else None,
        rows=rows,
    )
    return among_all(scores, rows, num)  # what is excluded has no score


def of_criterion(name: str) -> Utility:
    """Makes the utility of a criterion.

    Until a label is revealed within the query, utilities are those of ``lookahead.score``, computed
    tile by tile, unless the posterior is known already. From then on they are those of
    ``lookahead.score_posterior``, with a posterior that absorbs one label after another.

    Args:
      name: a key of ``lookahead.CRITERIA``.
    """

    def utility(key: Array, candidates: CandidateSet) -> Utilities:
        del key
        if candidates.knows_posterior or candidates.observed or candidates.needs_posterior:
            belief = candidates.posterior
            return Utilities(scores_of(belief, candidates, name), facts(belief))
        options = candidates.options.scoring(name)
        if needed(name, options.task):
            options = dataclasses.replace(options, predictive=candidates.predictive)
        scores, factor = from_kernel.score_blocks(candidates.problem, candidates.blocks, options)
        return Utilities(scores, facts(factor))

    return utility
