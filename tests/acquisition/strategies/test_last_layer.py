from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import Network, lookahead, models
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from tests import cases, helpers

KEY = jax.random.key(0)
L, U, E = 6, 9, 5


def candidates(x_eval=None, **options):
    x_labeled = helpers.images(L, seed=1)
    module = models.MLP(num_classes=3, width=8, blocks=2)
    network = Network(module, module.init(KEY, x_labeled))
    options = LookaheadOptions(ridge=1e-2, predictive=helpers.PREDICTIVE, **options)
    pool = helpers.images(U, seed=2)
    return CandidateSet(
        network, x_labeled, helpers.labels(L), pool, np.arange(U), options, x_eval=x_eval
    )


def with_constant_layers(network):
    """The network of which only the last layer has parameters."""
    *_, last = sorted(network.params)

    def apply(head, x):
        return network.with_params({**network.params, last: head}).logits(x)

    return Network.from_function(apply, network.params[last])


@pytest.mark.parametrize(
    ("criterion", "with_eval"), cases.crossed(list(LABEL_CRITERIA), [False, True])
)
def test_it_is_the_look_ahead_of_the_network_whose_other_layers_are_constants(criterion, with_eval):
    x_eval = helpers.images(E, seed=3) if with_eval else None
    given = candidates(x_eval, criterion=criterion)
    expected = lookahead.score(
        with_constant_layers(given.network),
        given.x_labeled,
        given.y_labeled,
        given.x,
        criterion=criterion,
        ridge=1e-2,
        predictive=helpers.PREDICTIVE,
        x_eval=x_eval,
    )
    found = STRATEGIES["last_layer"](KEY, given, 1).utilities
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_label_within_the_query_is_one_of_the_labeled_set():
    given = candidates(reference="linearized")
    seen = given.observe(4, 2)
    larger = CandidateSet(
        given.network,
        np.concatenate([given.x_labeled, given.x[4:5]]),
        np.append(given.y_labeled, 2),
        given.x,
        given.ids,
        LookaheadOptions(ridge=_same_noise(given), reference="linearized"),
    )
    found = STRATEGIES["last_layer"](KEY, seen, 1).utilities
    expected = STRATEGIES["last_layer"](KEY, larger, 1).utilities
    others = np.arange(U) != 4
    np.testing.assert_allclose(found[others], expected[others], rtol=1e-4)


def _same_noise(given):
    """The ridge at which λ stays the same with candidate 4 among the labels."""
    before = np.square(given.labeled_features).sum(1) + 1
    after = np.append(before, np.square(given.features[4]).sum() + 1)
    return 1e-2 * before.mean() / after.mean()
