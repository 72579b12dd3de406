"""What is not an array of numbers is refused early, and the message says what to write instead."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Pool, lookahead, models, training
from ntk_al._utils import checks
from ntk_al.acquisition import STRATEGIES, CandidateSet
from tests import helpers

pytestmark = pytest.mark.quick
L, U = 6, 8


def foreign(module, name, array):
    """An object that looks like an array of another library, which need not be installed."""
    kind = type(name, (), {"__module__": module, "shape": array.shape, "dtype": array.dtype})
    return kind()


def ragged(arrays):
    x = np.empty(len(arrays), object)
    x[:] = arrays
    return x


NAMES = np.array(["cat", "dog", "owl"])[helpers.labels(L)]
ENCODE = r"classes, y_labeled = np\.unique\(y_labeled, return_inverse=True\)"
WRONG_LABELS = {
    "array of strings": (NAMES, TypeError, ENCODE),
    "list of strings": (NAMES.tolist(), TypeError, ENCODE),
    "strings as objects": (NAMES.astype(object), TypeError, ENCODE),
    "pandas series": (
        foreign("pandas.core.series", "Series", helpers.labels(L)),
        TypeError,
        r"got a pandas Series; pass y_labeled\.to_numpy\(\)",
    ),
    "torch tensor": (
        foreign("torch", "Tensor", helpers.labels(L)),
        TypeError,
        r"got a torch Tensor; pass y_labeled\.numpy\(\)",
    ),
    "ragged list": ([[0], [1, 2], [0], [1], [2], [0]], ValueError, "y_labeled is a ragged list"),
    "objects": (
        helpers.labels(L).astype(object),
        TypeError,
        r"y_labeled holds Python objects .* for class ids y_labeled\.astype\(int\)",
    ),
    "a number": (3, TypeError, "y_labeled must be a NumPy or JAX array, got int"),
}


@pytest.mark.parametrize("task", lookahead.TASKS)
@pytest.mark.parametrize("case", WRONG_LABELS)
def test_labels_that_are_no_numbers_are_told_how_to_become_some(case, task):
    labels, error, message = WRONG_LABELS[case]
    net = helpers.network(num_classes=1 if task == "binary" else 3)
    options = {"criterion": "emoc", "task": task}
    with pytest.raises(error, match=message):
        lookahead.score(net, helpers.images(L), labels, helpers.images(U), **options)


@pytest.mark.parametrize("of", [lookahead.score, training.accuracy])
def test_labels_that_are_missing_are_named(of):
    labels = helpers.labels(L).astype(float)
    labels[2] = np.nan
    given = (helpers.network(), helpers.images(L), labels)
    with pytest.raises(ValueError, match=r"1 NaN .* at index \(2,\)\. Leave out the examples"):
        of(*given, *([helpers.images(U)] if of is lookahead.score else []))


def test_accuracy_takes_whole_numbers():
    labels = helpers.labels(L).astype(float)
    training.accuracy(helpers.network(), helpers.images(L), labels)
    labels[1] = 0.5
    with pytest.raises(ValueError, match=r"y must be class ids, but 0\.5 is at index 1"):
        training.accuracy(helpers.network(), helpers.images(L), labels)


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_training_refuses_the_same_labels(case):
    labels, error, message = WRONG_LABELS[case]
    message = message.replace("y_labeled", "y")
    config = training.TrainingConfig(epochs=1)
    with pytest.raises(error, match=message):
        training.fit(jax.random.key(0), helpers.network(), helpers.images(L), labels, config)
    with pytest.raises(error, match=message):
        training.accuracy(helpers.network(), helpers.images(L), labels)


@pytest.mark.parametrize(
    ("x_pool", "message"),
    [
        (
            foreign("pandas.core.frame", "DataFrame", np.zeros((U, 3))),
            r"got a pandas DataFrame; pass x_pool\.to_numpy\(\)",
        ),
        (
            foreign("torch", "Tensor", helpers.images(U)),
            r"got a torch Tensor; pass x_pool\.numpy\(\)",
        ),
        (ragged([np.zeros(2), np.zeros(3)]), r"must have one shape: np\.stack\(x_pool\)"),
        (helpers.images(U).tolist(), "is a list; make one array"),
        (np.full((U, 4, 4, 1), "a"), "x_pool must hold numbers"),
    ],
)
def test_inputs_that_are_no_numbers_are_told_how_to_become_some(x_pool, message):
    with pytest.raises(TypeError, match=message):
        lookahead.score(helpers.network(), helpers.images(L), helpers.labels(L), x_pool)


@pytest.mark.parametrize("y", [helpers.labels(L), jnp.asarray(helpers.labels(L)), [0, 1, 2]])
def test_labels_as_they_should_be_pass(y):
    np.testing.assert_array_equal(checks.labels("y", y), y)


def test_keys_of_both_styles_pass():
    checks.key("key", jax.random.key(0))
    checks.key("key", jax.random.PRNGKey(0))
    checks.key("key", np.asarray(jax.random.PRNGKey(0)))
    jax.eval_shape(lambda key: checks.key("key", key), jax.random.key(0))


def query(key):
    x, y = helpers.images(L), helpers.labels(L)
    given = CandidateSet(helpers.network(), x, y, helpers.images(U), np.arange(U))
    return STRATEGIES["random"](key, given, 1)


ASKING = {
    "fit": lambda key: training.fit(
        key, helpers.network(), helpers.images(L), helpers.labels(L), training.TrainingConfig()
    ),
    "initialize": lambda key: training.initialize(key, models.MLP(3, width=4), helpers.images(1)),
    "strategy": query,
    "first labels": lambda key: Pool.start(key, 10, 2),
    "subset": lambda key: Pool(10, np.array([0])).subset(key, 2),
}


NO_KEYS = {"seed": 0, "generator": np.random.default_rng(0), "none": None, "floats": jnp.zeros(2)}


@pytest.mark.parametrize("kind", NO_KEYS)
@pytest.mark.parametrize("door", ASKING)
def test_a_seed_in_place_of_a_key_is_refused(door, kind):
    with pytest.raises(TypeError, match=r"must be a PRNG key.*make one with jax\.random\.key\(0\)"):
        ASKING[door](NO_KEYS[kind])
