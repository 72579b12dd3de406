"""Criteria for regression, where a label is a real number or vector and no class is most likely.

The label of a candidate is predicted to be y ~ N(mean(x_j), S_jj + λ) in each output. To add a
criterion, write a function of the evaluation points and an outcome, and add a row to
``REGRESSION_CRITERIA``.
"""

from __future__ import annotations

from ntk_al.lookahead.criteria import VARIANCE_CRITERIA, Evaluation, GaussianOutcome, Rule
from ntk_al.types import Array


def expected_output_change(evaluation: Evaluation, outcome: GaussianOutcome) -> Array:
    """E_y Σ_x ‖f⁺(x) − f(x)‖₂, the expected model output change of a regression.

    Käding, Rodner, Freytag, Mothes, Barz and Denzler 2018, "Active learning for regression tasks
    with expected model output changes" (BMVC), with L2 distance.
    """
    return outcome.expected_output_change(evaluation)


REGRESSION_CRITERIA: dict[str, Rule] = {"emoc": expected_output_change, **VARIANCE_CRITERIA}
"""All criteria for regression by name."""
