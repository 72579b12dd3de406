"""Images and a query for the infinite-width kernels and the strategies that use them."""

from __future__ import annotations

import jax
import numpy as np

from ntk_al import Network, kernels, models
from ntk_al.acquisition import CandidateSet, LookaheadOptions
from tests import helpers

KEY = jax.random.key(3)
L, U = 5, 7


def images(num, seed=0, size=6):
    return np.random.default_rng(seed).normal(size=(num, size, size, 2)).astype(np.float32)


def relative_error(a, b):
    return np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b)


def candidates(seed=0, **options):
    module = models.MLP(3, width=8)
    x = images(L + U)
    return CandidateSet(
        network=Network(module, module.init(jax.random.key(seed), x)),
        x_labeled=x[:L],
        y_labeled=helpers.labels(L),
        x=x[L:],
        ids=np.arange(U),
        options=LookaheadOptions(**{"ridge": 1e-2, **options}),
    )


def dense_kernel(given, kind):
    x = np.concatenate([given.x_labeled, given.x])
    theta = kernels.infinite_gram(given.network.module, x, kind=kind)
    return np.asarray(theta, np.float64)
