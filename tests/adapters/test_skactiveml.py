"""Look-ahead under scikit-activeml: the same choices as here, for labels and inputs of any kind."""

from __future__ import annotations

import jax
import numpy as np
import pytest

pytest.importorskip("skactiveml")

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from ntk_al import lookahead, models, training
from ntk_al.acquisition import STRATEGIES, CandidateSet, LookaheadOptions
from ntk_al.adapters.skactiveml import LookAheadSampling, NetworkClassifier
from ntk_al.lookahead.criteria import LABEL_CRITERIA

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
TRUTH = np.arange(30) % 3
LABELED = np.arange(9)
Y = np.where(np.arange(30) < 9, TRUTH, np.nan)
UNLABELED = np.arange(9, 30)


def train(key, x, y, num_classes):
    """A network that is not trained at all: what it says of its labels does not matter here."""
    module = models.MLP(num_classes, width=16, blocks=1)
    return training.initialize(jax.random.key(0), module, x)


def classifier(**options):
    return NetworkClassifier(train, **{"classes": [0, 1, 2], "random_state": 0, **options})


@pytest.fixture
def network():
    return train(None, X, None, 3)


@pytest.mark.parametrize("criterion", LABEL_CRITERIA)
def test_utilities_are_the_scores_of_the_look_ahead(criterion, network):
    strategy = LookAheadSampling(criterion, {"ridge": 1e-2}, random_state=0)
    (chosen,), (utilities,) = strategy.query(X, Y, classifier(), return_utilities=True)
    scores = lookahead.score(
        network, X[LABELED], TRUTH[LABELED], X[UNLABELED], criterion=criterion, ridge=1e-2
    )
    np.testing.assert_allclose(utilities[UNLABELED], scores, rtol=1e-4)
    assert np.isnan(utilities[LABELED]).all()
    assert utilities[chosen] == np.nanmax(utilities)


@pytest.mark.parametrize(
    ("named", "ridge"), [(None, 0.1), ({"ridge": 1e-4}, 1e-4)], ids=["default", "given"]
)
def test_a_batch_is_the_greedy_one_of_the_strategy(network, named, ridge):
    strategy = LookAheadSampling(random_state=0, options=named)
    chosen, utilities = strategy.query(X, Y, classifier(), batch_size=5, return_utilities=True)
    options = LookaheadOptions(batch_mode="greedy", ridge=ridge)
    x, ids = X[UNLABELED], UNLABELED
    given = CandidateSet(network, X[LABELED], TRUTH[LABELED], x, ids, options=options)
    assert chosen.tolist() == STRATEGIES["mlmoc"](jax.random.key(0), given, 5).ids.tolist()
    for step in range(5):
        assert np.isnan(utilities[step, chosen[:step]]).all()
        assert np.nanargmax(utilities[step]) == chosen[step]


def test_candidates_are_rows_or_examples():
    strategy = LookAheadSampling(random_state=0)
    rows = np.array([12, 20, 15])
    by_row = strategy.query(X, Y, classifier(), candidates=rows, batch_size=2)
    by_example = strategy.query(X, Y, classifier(), candidates=X[rows], batch_size=2)
    assert by_row.tolist() == rows[by_example].tolist()


@pytest.mark.parametrize(
    ("names", "missing"), [(["no", "maybe", "yes"], ""), ([5, 7, 9], -1), ([0.5, 1.5, 2.5], None)]
)
def test_labels_of_any_kind_are_the_same_choices(names, missing):
    expected = LookAheadSampling(random_state=0).query(X, Y, classifier(), batch_size=3)
    names = sorted(names)  # their order numbers them
    y = np.array([names[int(i)] if i == i else missing for i in Y], dtype=object)
    if missing is not None:
        y = y.astype(type(names[0]))
    clf = classifier(classes=names, missing_label=missing)
    strategy = LookAheadSampling(missing_label=missing, random_state=0)
    assert strategy.query(X, y, clf, batch_size=3).tolist() == expected.tolist()
    assert set(clf.fit(X, y).predict(X)) <= set(names)


def test_probabilities_are_those_of_the_network(network):
    clf = classifier().fit(X, Y)
    predictive = lookahead.predictive(network, X[LABELED], TRUTH[LABELED], X[UNLABELED])
    expected = predictive.probabilities(np.asarray(network.predict(X), np.float64))
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-5)
    assert clf.predict(X).tolist() == expected.argmax(1).tolist()


def test_a_classifier_that_was_fitted_is_used_as_it_is():
    clf = classifier().fit(X, Y)
    strategy = LookAheadSampling(random_state=0)
    expected = strategy.query(X, Y, clf)
    assert strategy.query(X, Y, clf, fit_clf=False).tolist() == expected.tolist()


@pytest.mark.parametrize("known", [0, 1])
def test_until_two_classes_are_known_the_choice_is_random(known):
    y = np.full(30, np.nan)
    y[:known] = 1
    clf = classifier(classes=None if known else [0, 1, 2])
    chosen = {
        int(LookAheadSampling(random_state=seed).query(X, y, clone(clf))[0]) for seed in range(8)
    }
    assert len(chosen) > 3
    share = 1 if known else 1 / 3
    np.testing.assert_allclose(clf.fit(X, y).predict_proba(X[:2]), share)


def test_images_are_taken_as_they_are():
    x = RNG.normal(size=(12, 5, 5, 2)).astype(np.float32)
    y = np.where(np.arange(12) < 6, np.arange(12) % 2, np.nan)
    clf = NetworkClassifier(train, classes=[0, 1], random_state=0)
    chosen = LookAheadSampling(random_state=0).query(x, y, clf, batch_size=2)
    assert set(chosen) <= set(range(6, 12))
    assert clf.fit(x, y).predict_proba(x).shape == (12, 2)


def test_the_default_network_learns():
    y = (X[:, 0] > 0).astype(float)
    clf = NetworkClassifier(classes=[0, 1], random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.9


def test_wrong_arguments_are_refused():
    strategy = LookAheadSampling()
    for clf in (LogisticRegression(), None, "mlp"):
        with pytest.raises(TypeError, match="clf must be a NetworkClassifier"):
            strategy.query(X, Y, clf)
    with pytest.raises(ValueError, match="unknown criterion 'variance'; known"):
        LookAheadSampling("variance").query(X, Y, classifier())
    with pytest.raises(TypeError, match="options must be a dict"):
        LookAheadSampling(options="ridge").query(X, Y, classifier())
    with pytest.raises(TypeError, match="train must be a function, got 'mlp'"):
        NetworkClassifier("mlp", classes=[0, 1]).fit(X, Y)
    with pytest.raises(TypeError, match="train must return a Network, got int"):
        NetworkClassifier(lambda *_: 1, classes=[0, 1, 2]).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        classifier().fit(X, Y).predict_proba(X[:, :2])
