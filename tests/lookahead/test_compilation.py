"""In a labeling loop the numbers of labels and candidates change, and yet little is compiled."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import kernels, lookahead, training
from ntk_al._utils import compat
from tests import cases, helpers

LABELS = range(20, 161, 20)
DOUBLINGS = 3  # from 20 labels to 160
POOL = helpers.images(1160)
CLASSES = helpers.labels(1160)


def score(net, num_labeled):
    given = POOL[:num_labeled], CLASSES[:num_labeled], POOL[160 : 1180 - num_labeled]
    assert lookahead.score(net, *given).shape == (1020 - num_labeled,)


def select(net, num_labeled):
    given = POOL[:num_labeled], CLASSES[:num_labeled], POOL[160 : 1180 - num_labeled]
    assert len(lookahead.select(net, *given, 2).rows) == 2


def select_with_a_fitted_ridge(net, num_labeled):
    given = POOL[:num_labeled], CLASSES[:num_labeled], POOL[160 : 1180 - num_labeled]
    assert len(lookahead.select(net, *given, 1, ridge="leave_one_out").rows) == 1


@pytest.mark.parametrize("query", [score, cases.thorough(select), select_with_a_fitted_ridge])
@pytest.mark.filterwarnings("ignore:the outputs of the network")
def test_at_most_one_query_compiles_each_time_the_labels_double(query, compilations):
    net, compiled = helpers.network(), []
    for num_labeled in LABELS:
        before = len(compilations)
        query(net, num_labeled)
        compiled.append(len(compilations) - before)
    assert sum(number > 0 for number in compiled[1:]) <= DOUBLINGS, compiled
    before = len(compilations)
    for num_labeled in LABELS:
        query(net, num_labeled)
    assert len(compilations) == before


@pytest.mark.parametrize("mebibytes", [30, 60])
def test_a_little_more_or_less_memory_compiles_nothing(mebibytes, compilations):
    """What is free, and is the budget unless one is given, differs from query to query."""
    net, x = helpers.network(), helpers.images(600)
    kernels.gram(net, x, memory_budget=mebibytes * 2**20)
    before = len(compilations)
    for budget in (1.001, 1.02, 1.04):
        kernels.gram(net, x, memory_budget=int(budget * mebibytes * 2**20))
    assert len(compilations) == before


def test_training_compiles_only_while_the_labels_do_not_fill_a_batch(compilations):
    config, net = training.TrainingConfig(epochs=1, batch_size=32), helpers.network()
    compiled = []
    for num_labeled in LABELS:
        before = len(compilations)
        training.fit(jax.random.key(0), net, POOL[:num_labeled], CLASSES[:num_labeled], config)
        compiled.append(len(compilations) - before)
    assert sum(number > 0 for number in compiled[1:]) <= 1, compiled


@pytest.mark.parametrize("criterion", lookahead.CRITERIA)
@pytest.mark.filterwarnings("ignore:the outputs of the network")
def test_scores_do_not_depend_on_the_size_of_the_padding(criterion):
    net, x_labeled, y = helpers.network(), POOL[:5], CLASSES[:5]
    x_pool, x_eval = POOL[200:207], POOL[300:311]
    # Calibration compiles for long, so one criterion that weighs by probabilities has it.
    predictive = "calibrated" if criterion == "emoc" else helpers.PREDICTIVE

    def score(x_labeled, x_pool, x_eval):
        options = {"criterion": criterion, "predictive": predictive, "x_eval": x_eval}
        return lookahead.score(net, x_labeled, y, x_pool, **options)

    alone = score(x_labeled, x_pool, x_eval)
    with compat.enable_x64():  # under jit nothing is padded
        plain = jax.jit(score)(*(np.float64(x) for x in (x_labeled, x_pool, x_eval)))
    np.testing.assert_allclose(alone, plain, rtol=2e-3, atol=1e-5)
