from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.infinite_ntk import infinite_ntk
from ntk_al.lookahead import REFERENCES
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from tests import helpers
from tests.kernels.infinite.problem import KEY, L, U, candidates, dense_kernel


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("criterion", LABEL_CRITERIA)
def test_infinite_ntk_is_equation_11_solved_afresh_with_the_infinite_kernel(criterion, reference):
    given = candidates(criterion=criterion, reference=reference, predictive=helpers.PREDICTIVE)
    points = np.r_[: L + U, L : L + U]  # labeled, evaluation points, candidates
    logits = np.concatenate([given.network.predict(given.x_labeled), given.logits])[points]
    naive = helpers.naive_scores(
        dense_kernel(given, "ntk")[np.ix_(points, points)],
        logits.astype(np.float64),
        np.eye(3)[given.y_labeled],
        num_labeled=L,
        num_eval=U,
        criterion=criterion,
        reference=reference,
        ridge=1e-2,
    )
    utilities, _ = infinite_ntk(KEY, given)
    np.testing.assert_allclose(utilities, naive, rtol=1e-3)
