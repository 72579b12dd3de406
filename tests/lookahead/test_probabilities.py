from __future__ import annotations

import numpy as np
import pytest

from ntk_al import kernels, lookahead
from ntk_al.lookahead import posterior
from ntk_al.network import PREDICTIVES, Predictive
from tests import helpers

pytestmark = pytest.mark.quick

SETS = helpers.images(6, seed=1), helpers.labels(6, seed=1), helpers.images(8, seed=2)
WEIGHING = ["emoc", "eer"]


def score(**options):
    return np.asarray(lookahead.score(helpers.network(), *SETS, **options))


@pytest.mark.parametrize("criterion", WEIGHING)
def test_a_name_scores_as_the_distribution_it_stands_for(criterion):
    scores = [score(criterion=criterion, predictive=name) for name in PREDICTIVES]
    given = (
        lookahead.predictive(helpers.network(), *SETS),
        Predictive(simplex=True),
        Predictive(1.0),
    )
    for of_name, predictive in zip(scores, given, strict=True):
        np.testing.assert_array_equal(of_name, score(criterion=criterion, predictive=predictive))
    np.testing.assert_array_equal(score(criterion=criterion), scores[0])
    assert np.abs(scores[0] - scores[1]).max() > 1e-4 < np.abs(scores[0] - scores[2]).max()


def test_log_probabilities_are_the_logarithms_of_the_probabilities():
    outputs = 3 * np.random.default_rng(0).normal(size=(5, 4))
    for predictive in (Predictive(), Predictive(temperature=0.2)):
        np.testing.assert_allclose(
            predictive.log_probabilities(outputs), np.log(predictive.probabilities(outputs))
        )
    far = np.array([[0.0, -2000.0]])
    np.testing.assert_array_equal(Predictive().log_probabilities(far), far)


@pytest.mark.parametrize("predictive", ["simplex", Predictive(simplex=True)])
def test_the_log_score_refuses_probabilities_that_can_be_zero(predictive):
    with pytest.raises(ValueError, match=r"'log_score' needs probabilities above zero.*'brier'"):
        score(criterion="log_score", predictive=predictive)
    with pytest.raises(ValueError, match="'log_score' needs probabilities above zero"):
        lookahead.score_posterior(belief(), criterion="log_score", predictive=predictive)
    assert np.isfinite(score(criterion="brier", predictive=predictive)).all()


@pytest.mark.parametrize("criterion", ["mlmoc", "flips", "variance"])
def test_a_criterion_that_weighs_by_no_probability_does_not_depend_on_them(criterion):
    np.testing.assert_array_equal(
        score(criterion=criterion), score(criterion=criterion, predictive="simplex")
    )


def belief():
    net, (x_l, y_l, x_u) = helpers.network(), SETS
    theta = kernels.blocks(net, x_l, x_u)
    return posterior.condition(theta, np.eye(3)[y_l] - net.predict(x_l), net.predict(x_u))


@pytest.mark.parametrize("criterion", WEIGHING)
@pytest.mark.parametrize("given", [{}, {"predictive": "calibrated"}])
def test_a_posterior_asks_for_probabilities_that_it_cannot_know(criterion, given):
    with pytest.raises(ValueError, match="Pass predictive=lookahead"):
        lookahead.score_posterior(belief(), criterion=criterion, **given)
    lookahead.score_posterior(belief(), criterion=criterion, predictive="softmax")
    lookahead.score_posterior(belief(), criterion="mlmoc", **given)


def test_with_evaluation_points_the_other_candidates_do_not_change_the_temperature():
    net, (x_l, y_l, x_u), x_e = helpers.network(), SETS, helpers.images(5, seed=3)
    some, all_of_them = (
        lookahead.predictive(net, x_l, y_l, x, x_eval=x_e).temperature for x in (x_u[:2], x_u)
    )
    assert some == all_of_them != lookahead.predictive(net, x_l, y_l, x_u).temperature


def test_what_is_no_distribution_is_refused():
    with pytest.raises(ValueError, match="unknown predictive 'sofmax'"):
        score(predictive="sofmax")
    with pytest.raises(TypeError, match="predictive must be one of calibrated"):
        score(predictive=0.3)
    with pytest.raises(ValueError, match="unknown kind"):
        lookahead.predictive(helpers.network(), *SETS, kind="hard")
    with pytest.raises(ValueError, match="has no classes"):
        lookahead.predictive(helpers.network(), *SETS, task="regression")
