"""Functions of many rows, applied in batches of few shapes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al._utils import batches

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(("size", "bucket"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128)])
def test_buckets_are_powers_of_two(size, bucket):
    assert batches.bucket(size) == bucket


@pytest.mark.parametrize("num", [1, 3, 4, 5, 8, 11])
def test_batches_cover_all_rows_once_they_are_cut(num):
    rows, squares = np.arange(num), np.arange(num) ** 2
    seen = []
    for repeated, (of_rows, (of_squares,)) in batches.split(4, rows, (squares,)):
        np.testing.assert_array_equal(of_rows**2, of_squares)
        seen.extend(np.asarray(of_rows)[repeated:].tolist())
    assert seen[:num] == list(range(num))
    assert set(seen[num:]) <= {num - 1}


@pytest.mark.parametrize(("num", "shapes"), [(3, {4}), (5, {8}), (8, {8}), (19, {8})])
def test_batches_have_one_shape(num, shapes):
    assert {len(batch) for _, (batch,) in batches.split(8, np.arange(num))} == shapes


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100, None])
def test_mapping_in_batches_is_mapping(batch_size):
    x = {"a": np.arange(7.0), "b": (np.arange(14.0).reshape(7, 2),)}

    def function(x):
        return x["a"][:, None] * x["b"][0]

    result = batches.map_batches(function, x, batch_size=batch_size)
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(result, function(x))


def test_a_function_may_return_tracers_under_jit():
    rows = np.arange(5.0)

    @jax.jit
    def scaled(factor):
        return batches.map_batches(lambda x: factor * x, rows, batch_size=2)

    np.testing.assert_array_equal(scaled(jnp.float32(3)), 3 * rows)
