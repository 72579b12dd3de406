from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_al import Pool

pytestmark = pytest.mark.quick

KEY = jax.random.key(0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), init_size=st.integers(1, 30))
def test_labeled_and_unlabeled_share_nothing_and_miss_nothing(seed, init_size):
    pool = Pool.start(jax.random.key(seed), 30, init_size)
    assert len(pool.labeled) == init_size
    assert sorted([*pool.labeled, *pool.unlabeled]) == list(range(30))


def test_labeling_keeps_the_order_and_leaves_the_old_pool_as_it_was():
    before = Pool(10, np.array([3, 1]))
    after = before.label(np.array([7, 0]))
    assert after.labeled.tolist() == [3, 1, 7, 0]
    assert before.labeled.tolist() == [3, 1]


def test_a_subset_holds_unlabeled_ids_once_each():
    pool = Pool.start(KEY, 50, 10)
    subset = pool.subset(KEY, 20)
    assert len(set(subset.tolist())) == 20
    assert not set(subset.tolist()) & set(pool.labeled.tolist())
    assert pool.subset(KEY, 40).tolist() == pool.unlabeled.tolist()


def test_pools_that_differ_in_few_labels_get_almost_the_same_subset():
    pool = Pool.start(KEY, 500, 10)
    others = pool.label(pool.unlabeled[:5])
    subset, of_others = pool.subset(KEY, 100), others.subset(KEY, 100)
    assert len(np.intersect1d(subset, of_others)) >= 95


def test_the_key_decides():
    assert Pool.start(KEY, 50, 10).labeled.tolist() == Pool.start(KEY, 50, 10).labeled.tolist()
    other = Pool.start(jax.random.key(1), 50, 10)
    assert Pool.start(KEY, 50, 10).labeled.tolist() != other.labeled.tolist()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([3], "labeled already, the first is 3"),
        ([10], r"0\.\.9"),
        ([-1], r"0\.\.9"),
        ([4, 4], "twice"),
    ],
)
def test_ids_that_cannot_be_labeled_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        Pool(10, np.array([3, 1])).label(np.array(ids))


@pytest.mark.parametrize("size", [0, 9])
def test_a_subset_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ValueError, match=f"subset of {size} cannot be drawn from 8"):
        Pool(10, np.array([3, 1])).subset(KEY, size)


@pytest.mark.parametrize("init_size", [0, 11])
def test_an_initial_size_outside_of_the_pool_is_refused(init_size):
    with pytest.raises(ValueError, match=r"init_size must be in 1\.\.10"):
        Pool.start(KEY, 10, init_size)
