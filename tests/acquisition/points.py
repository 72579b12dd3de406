"""Points in a plane or on a line, for strategies that spread labels over a space."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.features import geometry

SEEDS = pytest.mark.parametrize("seed", range(4))


def line(*numbers):
    return np.array(numbers, float)[:, None]


def points(num, seed, dimension=2):
    return np.random.default_rng(seed).normal(size=(num, dimension))


def brute_squared(points1, points2):
    return np.square(points1[:, None] - points2).sum(2)


def everything(num, k, seed=0):
    """Keywords of a choice of k among num points, all of them available."""
    ties = np.random.default_rng([seed, 99]).random(num)
    return {"available": np.ones(num, bool), "k": k, "tie_breaks": ties}


def to_labeled(features, labeled):
    return geometry.nearest(features, labeled)[0]
