"""Batches of examples, as arrays or as pytrees of arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import data
from ntk_al._utils import examples

pytestmark = pytest.mark.quick
X = np.arange(12.0, dtype=np.float32).reshape(4, 3)
TREE = {"ids": np.arange(4), "pair": (X, None, jnp.asarray(X))}
BATCHES = [X, jnp.asarray(X), TREE]


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("x", BATCHES)
def test_parts_that_are_taken_stack_to_the_whole(x):
    assert examples.count(x) == 4
    parts = [examples.take(x, slice(0, 1)), examples.take(x, slice(1, 4))]
    assert [examples.count(part) for part in parts] == [1, 3]
    assert_equal(examples.stack(parts), x)
    assert examples.stack([x]) is x
    assert_equal(examples.take(x, [2, 0]), jax.tree.map(lambda a: a[np.array([2, 0])], x))


def test_what_is_on_the_host_stays_there():
    stacked = examples.stack([TREE, TREE])
    filled = examples.fill(TREE, 6)
    for tree in (stacked, filled):
        assert isinstance(tree["ids"], np.ndarray)
        assert isinstance(tree["pair"][2], jax.Array)
    assert all(isinstance(a, jax.Array) for a in jax.tree.leaves(examples.on_devices(TREE)))


@pytest.mark.parametrize("x", BATCHES)
def test_filling_repeats_the_last_example(x):
    assert_equal(examples.fill(x, 6), examples.take(x, np.array([0, 1, 2, 3, 3, 3])))
    assert examples.fill(x, 4) is x
    assert examples.fill(x, 2) is x


def test_shapes_are_those_on_a_device():
    shapes = examples.shapes({"a": np.zeros((4, 2)), "b": np.arange(4)}, 7)
    assert shapes["a"] == jax.ShapeDtypeStruct((7, 2), np.float32)
    assert shapes["b"] == jax.ShapeDtypeStruct((7,), np.int32)
    assert examples.shapes(X) == jax.ShapeDtypeStruct((4, 3), np.float32)


def test_an_example_has_the_bytes_of_all_its_arrays():
    assert examples.num_bytes(X) == 12
    assert examples.num_bytes(TREE) == 8 + 12 + 12


def test_inputs_are_described_by_shape_and_dtype():
    assert examples.describe(X) == "(4, 3) float32"
    description = "['ids'] (4,) int64, ['x'] (4, 3) float32"
    assert examples.describe({"x": X, "ids": np.arange(4)}) == description


@pytest.mark.parametrize("x", [*BATCHES, {"mask": np.ones(4, bool), "ids": np.arange(4)}])
def test_batches_pass(x):
    examples.check("x", x)
    examples.check_structure("x", x)


NAN = X.copy()
NAN[1, 2] = np.nan


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([X, X], TypeError, r"x is a list; make one array of it with np\.stack\(x\)"),
        ({}, ValueError, "x holds no arrays"),
        (None, ValueError, "x holds no arrays"),
        (3.0, TypeError, "x must be a NumPy or JAX array, got float"),
        ({"a": X, "b": "text"}, TypeError, r"x\['b'\] must be a NumPy or JAX array, got str"),
        ({"a": X, "b": np.float32(1)}, ValueError, r"x\['b'\] must be a batch"),
        ({"a": X, "b": X[:2]}, ValueError, r"x\['a'\] has 4, x\['b'\] has 2"),
        (X[:0], ValueError, r"x is empty: it has shape \(0, 3\)"),
    ],
)
def test_what_is_no_batch_is_refused(x, error, message):
    for check in (examples.check, examples.check_structure):
        with pytest.raises(error, match=message):
            check("x", x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.arange(4.0), ValueError, r"x must be a batch \[N, ...\]"),
        ({"a": NAN}, ValueError, r"x\['a'\] has 1 NaN or infinite entries, .* \(1, 2\)"),
        ((X, X + 0j), TypeError, r"x\[1\] must hold real numbers"),
        ({"a": np.array(["b"])}, TypeError, r"x\['a'\] must hold numbers"),
    ],
)
def test_entries_that_no_network_takes_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        examples.check("x", x)


@pytest.mark.parametrize(
    ("x2", "message"),
    [
        (X, "x1 and x2 differ in structure"),
        ({"ids": np.arange(2), "pair": (X, None, X[:, :2])}, r"x1\['pair'\]\[2\] holds examples"),
        ({"ids": X[:, 0], "pair": (X, None, X)}, r"x1\['ids'\] has dtype int64 but .* float32"),
    ],
)
def test_batches_of_other_examples_are_told_apart(x2, message):
    with pytest.raises(ValueError, match=message):
        examples.check_alike("x1", TREE, "x2", x2)
    examples.check_alike("x1", TREE, "x2", examples.take(TREE, slice(2)))


def test_copies_share_a_number_if_all_of_their_arrays_are_equal():
    first, second = np.array([[1.0, 2], [3, 4], [1, 2], [1, 2]]), np.array([5, 5, 6, 5])
    empty = np.zeros((4, 0))
    number = examples.numbered({"a": first, "b": (second, None, empty)})
    assert number[0] == number[3]
    assert len({*number.tolist()}) == 3
    lazy = data.LazyArray(list(first))
    np.testing.assert_array_equal(examples.numbered(lazy), examples.numbered(jnp.asarray(first)))
