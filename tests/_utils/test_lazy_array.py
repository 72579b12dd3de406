"""Arrays that are read when they are indexed, beside the same arrays in memory."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_al import data, kernels, lookahead
from ntk_al._utils import checks, examples
from ntk_al.data import LazyArray
from ntk_al.lookahead import landmarks
from tests import helpers

pytestmark = pytest.mark.quick

X = np.random.default_rng(0).normal(size=(11, 4, 4, 1)).astype(np.float32)
ROWS = [
    slice(None),
    slice(2, 7),
    slice(9, 2, -3),
    slice(-3, None),
    np.array([5, 0, -1, 5]),
    [1, 2],
    np.arange(11) % 3 == 0,
    np.array([], np.int64),
]


class Counting:
    """A source that remembers how many examples were read at once."""

    def __init__(self, x):
        self.x, self.most, self.calls = x, 0, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers):
        self.most, self.calls = max(self.most, len(numbers)), self.calls + 1
        return [self.x[number] for number in numbers]


def lazily(x):
    return LazyArray(list(x))


@pytest.mark.parametrize("rows", ROWS, ids=repr)
def test_rows_are_those_of_the_array(rows):
    np.testing.assert_array_equal(lazily(X)[rows], X[rows])
    joined = examples.stack([lazily(X[:4]), X[4:6], lazily(X[6:])])
    np.testing.assert_array_equal(joined[rows], X[rows])
    assert lazily(X)[rows].dtype == X.dtype


def test_it_looks_like_the_array():
    lazy = lazily(X)
    assert (lazy.shape, lazy.dtype, lazy.ndim, len(lazy)) == (X.shape, X.dtype, X.ndim, len(X))
    np.testing.assert_array_equal(lazy[-2], X[-2])
    np.testing.assert_array_equal(np.asarray(lazy), X)
    assert repr(lazy) == "LazyArray(shape=(11, 4, 4, 1), dtype=float32)"


def test_a_transform_makes_inputs_of_examples():
    records = [{"image": x, "label": 3} for x in X]
    lazy = LazyArray(records, lambda record: record["image"] * 2)
    np.testing.assert_array_equal(lazy[3:5], 2 * X[3:5])


def test_several_examples_are_read_at_once_where_the_source_can():
    source = Counting(X)
    lazy, before = LazyArray(source), source.calls
    lazy[:]
    assert source.calls == before + 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (iter(X), TypeError, "A stream has to be written to a file first"),
        ([], ValueError, "it has no examples"),
        ([{"image": X[0]}], TypeError, r"example 0 must be an array, got dict; transform="),
        ([np.array([None])], TypeError, "example 0 holds Python objects"),
    ],
)
def test_what_is_no_source_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        LazyArray(source)


@pytest.mark.parametrize("odd", [np.zeros((4, 5, 1), np.float32), np.zeros((4, 4, 1), np.uint8)])
def test_an_example_unlike_the_first_is_named(odd):
    with pytest.raises(ValueError, match=r"example 2 has shape .* but example 0 has"):
        LazyArray([X[0], X[1], odd])[:]


def test_indices_that_are_none_are_refused():
    with pytest.raises(IndexError, match="no example 11: the array has 11"):
        lazily(X)[np.array([0, 11])]
    with pytest.raises(TypeError, match="is indexed by a number, a slice"):
        lazily(X)[np.array([0.5])]


@pytest.mark.parametrize("source", ["lazy", "file"])
def test_entries_that_are_not_finite_are_found_in_any_part(source, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "_PART_BYTES", 3 * X[0].nbytes)
    bad = X.copy()
    bad[4, 1, 2, 0], bad[10, 0, 0, 0] = np.nan, np.inf
    np.save(tmp_path / "x.npy", bad)
    x = lazily(bad) if source == "lazy" else np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ValueError, match=r"2 NaN or infinite entries, .* index \(4, 1, 2, 0\)"):
        examples.check("x", x)
    examples.check("x", lazily(X))


@pytest.mark.parametrize("with_eval", [False, True])
@pytest.mark.parametrize("approximation", ["none", "landmarks"])
def test_scores_of_a_lazy_pool_are_those_of_the_array(approximation, with_eval):
    given = helpers.network(), helpers.images(6, seed=1), helpers.labels(6, seed=1)
    options = {"approximation": approximation, "x_eval": X[::2] if with_eval else None}
    expected = lookahead.score(*given, X, **options)
    np.testing.assert_array_equal(lookahead.score(*given, lazily(X), **options), expected)
    chosen = lookahead.select(*given, lazily(X), 2, **options)
    np.testing.assert_array_equal(chosen.rows, lookahead.select(*given, X, 2, **options).rows)


def test_labeled_and_evaluation_sets_may_be_lazy():
    network, x, y = helpers.network(), helpers.images(6, seed=1), helpers.labels(6, seed=1)
    np.testing.assert_array_equal(
        lookahead.score(network, lazily(x), y, X[:7], x_eval=lazily(X)),
        lookahead.score(network, x, y, X[:7], x_eval=X),
    )
    np.testing.assert_array_equal(kernels.gram(network, lazily(X)), kernels.gram(network, X))


def test_with_landmarks_the_pool_is_never_read_as_a_whole(monkeypatch):
    monkeypatch.setattr(landmarks.build, "CHUNK", 16)
    monkeypatch.setattr(landmarks.build, "MOST_POINTS", 12)
    monkeypatch.setattr(checks, "_PART_BYTES", 16 * X[0].nbytes)
    source = Counting(helpers.images(130, seed=2))
    given = helpers.network(), helpers.images(6, seed=1), helpers.labels(6, seed=1)
    options = {"approximation": "landmarks", "batch_mode": "greedy"}
    chosen = lookahead.select(*given, data.LazyArray(source), 3, **options)
    assert source.most <= 64  # a batch of the network
    expected = lookahead.select(*given, source.x, 3, **options)
    np.testing.assert_array_equal(chosen.rows, expected.rows)
