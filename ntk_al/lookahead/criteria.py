"""Criteria: each turns the change that a label would cause into a number.

A criterion sees one candidate at a time. Most measure the outputs that would follow a class label,
either the most likely one or in expectation over all of them, and do not depend on how the outputs
are predicted (see ``Outcome``). To add one, write a measure and add a row to ``LABEL_CRITERIA``.
``tasks`` says which criteria fit which task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from ntk_al.network.predictive import SOFTMAX, Predictive
from ntk_al.types import Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The outputs at the evaluation points before any candidate is labeled.

    Attributes:
      mean: outputs of the retrained linearized network, ``[E, C]``.
      offset: mean − f, ``[E, C]``; ``None`` if changes are measured from the mean itself.
      weight: 1 for a point and 0 for padding, ``[E]``; ``None`` if there is no padding.
      predictive: p(y | x) as a function of the outputs.
      variance: S(x, x) + λ, the variance of a label of each point, ``[E]``, or ``[E, C, C]`` if
        every pair of classes has its own kernel; ``None`` if no Gaussian process predicts it.
    """

    mean: Array
    offset: Array | None
    weight: Array | None = None
    predictive: Predictive = SOFTMAX
    variance: Array | None = None

    @property
    def reference(self) -> Array:
        """The outputs from which changes are measured, mean − offset, ``[E, C]``."""
        return self.mean if self.offset is None else self.mean - self.offset


class Outcome(Protocol):
    """The predicted outputs at the evaluation points if one candidate x_j were labeled."""

    @property
    def logits(self) -> Array:
        """f(x_j), the source of the pseudo-label and of p(y | x_j), ``[C]``."""
        ...

    def after(self, evaluation: Evaluation, label: Array) -> Array:
        """The outputs f⁺ after x_j is labeled with the class id ``label``, ``[E, C]``."""
        ...

    def output_change(self, evaluation: Evaluation, label: Array) -> Array:
        """Σ_x ‖f⁺(x) − f(x)‖₂ over the evaluation points, with f = mean − offset."""
        ...


class GaussianOutcome(Outcome, Protocol):
    """An outcome whose label is predicted by a Gaussian process: N(mean(x_j), S_jj + λ)."""

    def expected_output_change(self, evaluation: Evaluation) -> Array:
        """E_y Σ_x ‖f⁺(x) − f(x)‖₂ over the evaluation points, for a real-valued label y."""
        ...

    def variance_removed(self) -> Array:
        """By how much any label lowers the variance, summed over points, averaged over outputs."""
        ...

    def information(self, evaluation: Evaluation) -> Array:
        """Σ_x I(y_x; y_j) in nats, what a label tells of other labels, averaged over outputs."""
        ...


Rule = Callable[[Evaluation, GaussianOutcome], Array]
"""A function from the evaluation points and the outcome of one candidate to its score."""

Measure = Callable[[Evaluation, Outcome, Array], Array]
"""A function that maps the evaluation points, an outcome and a class id to a scalar.

Candidates with higher values are queried first.
"""


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A measure of the outputs after a label, and the labels for which it is taken.

    Attributes:
      measure: the value of the criterion for one label.
      expected: if true, the measure is averaged over y ~ p(y | x_j); otherwise it is taken at the
        most likely label, y = argmax f(x_j).

    Examples:
      A label would move three points by 1, ½ and 0 times the error, whose norm is 1.

      >>> from ntk_al.lookahead.outcomes import RankOne
      >>> evaluation = Evaluation(mean=jnp.zeros((3, 2)), offset=None)
      >>> outcome = RankOne(
      ...     gain=jnp.array([1.0, 0.5, 0.0]),
      ...     mean=jnp.zeros(2),
      ...     logits=jnp.array([0.2, 0.1]),
      ...     variance=jnp.array(1.0),
      ... )
      >>> print(CRITERIA["mlmoc"](evaluation, outcome))
      1.5
    """

    measure: Measure
    expected: bool

    def __call__(self, evaluation: Evaluation, outcome: Outcome) -> Array:
        """Computes the score of one candidate, a scalar; higher = query first."""

        def of_label(label: Array) -> Array:
            return self.measure(evaluation, outcome, label)

        if not self.expected:
            return of_label(outcome.logits.argmax())
        values = jax.lax.map(of_label, jnp.arange(len(outcome.logits)))
        return evaluation.predictive.probabilities(outcome.logits) @ values


def output_change(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """Σ_x ‖f⁺(x) − f(x)‖₂, the total change of the outputs (Eq. 13, or Eq. 3 with L2 distance)."""
    return outcome.output_change(evaluation, label)


def negative_entropy(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """−Σ_x H[p⁺(y | x)], with p⁺ from f⁺(x) (Eq. 2); it does not depend on the reference."""
    of_points = evaluation.predictive.entropy(outcome.after(evaluation, label))
    # Other criteria sum changes, and nothing changes at a padded point.
    return -(of_points if evaluation.weight is None else evaluation.weight * of_points).sum()


def flipped(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """The number of evaluation points whose predicted class changes.

    The authors' released code uses this in place of Eq. 13.
    """
    after = outcome.after(evaluation, label)
    return (after.argmax(1) != evaluation.reference.argmax(1)).sum().astype(after.dtype)


def brier(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """Σ_x ‖p⁺(· | x) − p(· | x)‖₂², by how much p⁺ expects to beat p in the Brier score.

    It is the Bregman divergence of that score. Tan, Du and Buntine 2021, "Diversity enhanced active
    learning with strictly proper scoring rules" (NeurIPS), whose ensemble is here the look-ahead.
    """
    p = evaluation.predictive.probabilities(evaluation.reference)
    after = evaluation.predictive.probabilities(outcome.after(evaluation, label))
    return jnp.square(after - p).sum()


def log_score(evaluation: Evaluation, outcome: Outcome, label: Array) -> Array:
    """Σ_x KL(p⁺(· | x) ‖ p(· | x)), by how much p⁺ expects to beat p in the log score.

    See ``brier``. If p were the mean of p⁺ over labels, as with exact Bayesian updates, then the
    expectation of this over labels would rank candidates as that of ``negative_entropy``.
    """
    log_p = evaluation.predictive.log_probabilities(evaluation.reference)
    log_after = evaluation.predictive.log_probabilities(outcome.after(evaluation, label))
    return (jnp.exp(log_after) * (log_after - log_p)).sum()


def variance(evaluation: Evaluation, outcome: GaussianOutcome) -> Array:
    """Σ_x S(x, x_j)² / (S_jj + λ), by how much a label lowers the variance at the points x.

    It depends neither on labels nor on the reference. With all candidates as evaluation points,
    this is the choice of Cohn, Ghahramani and Jordan 1996, "Active learning with statistical
    models" (JAIR 4), for a Gaussian process.
    """
    del evaluation
    return outcome.variance_removed()


def information_gain(evaluation: Evaluation, outcome: GaussianOutcome) -> Array:
    """−½ Σ_x log(1 − ρ(x, x_j)²), the expected predictive information gain (EPIG) in nats.

    ρ is the correlation of labels of x and of x_j. Like ``variance``, it depends neither on labels
    nor on the reference, but it counts every evaluation point by its own variance: a point that is
    nearly known already can be told as much of as another. Bickford Smith, Kirsch, Farquhar, Gal,
    Foster and Rainforth 2023, "Prediction-oriented Bayesian active learning" (AISTATS), Eq. 5, for
    a Gaussian process; MM-ITL of Hübotter, Sukhija, Treven, As and Krause 2024, "Transductive
    active learning: theory and applications" (NeurIPS), up to the noise of the label of x.
    """
    return outcome.information(evaluation)


LABEL_CRITERIA: dict[str, Criterion] = {
    "mlmoc": Criterion(output_change, expected=False),  # most likely model output change
    "emoc": Criterion(output_change, expected=True),  # expected model output change
    "eer": Criterion(negative_entropy, expected=True),  # expected error reduction
    "flips": Criterion(flipped, expected=False),
    "brier": Criterion(brier, expected=True),
    "log_score": Criterion(log_score, expected=True),
}
"""Criteria that measure the outputs after a class label, by name."""

VARIANCE_CRITERIA: dict[str, Rule] = {"variance": variance, "epig": information_gain}
"""Criteria that depend on the covariance alone, by name; they fit every task."""

CRITERIA: dict[str, Rule] = {**LABEL_CRITERIA, **VARIANCE_CRITERIA}
"""All criteria for classes by name."""
