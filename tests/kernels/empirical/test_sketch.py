from __future__ import annotations

import jax
import numpy as np
import pytest

from ntk_al import kernels, training
from tests import helpers


@pytest.mark.quick
def test_inner_products_of_sketches_are_the_kernel_on_average():
    net, x = helpers.network(), helpers.images(5, seed=1)
    theta = np.asarray(kernels.gram(net, x))
    estimates = []
    for seed in range(80):
        phi = np.asarray(kernels.sketch(net, x, key=jax.random.key(seed), size=16))
        estimates.append(phi @ phi.T)
    error = np.abs(np.mean(estimates, 0) - theta)
    assert (error <= 4 * np.std(estimates, 0) / np.sqrt(80) + 1e-5).all()


def test_the_error_falls_as_the_root_of_the_size():
    net, x = helpers.network(), helpers.images(5, seed=1)
    theta = np.asarray(kernels.gram(net, x))
    scale = np.sqrt(np.outer(theta.diagonal(), theta.diagonal()))

    def error(size):
        squares = []
        for seed in range(40):
            phi = np.asarray(kernels.sketch(net, x, key=jax.random.key(seed), size=size))
            squares.append(np.square((phi @ phi.T - theta) / scale))
        return np.sqrt(np.mean(squares))

    assert error(8) <= np.sqrt(2 / 8) * 1.2
    assert error(32) == pytest.approx(error(8) / 2, rel=0.3)


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_models_can_be_sketched(name):
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    module = helpers.tiny_model(name)
    net = training.initialize(jax.random.key(0), module, x)
    phi = kernels.sketch(net, x, key=jax.random.key(0), size=64)
    assert phi.shape == (3, 64)
    norms, exact = np.square(phi).sum(1), kernels.diagonal(net, x)
    np.testing.assert_allclose(norms, exact, rtol=1.0)


def test_a_sample_is_sketched_the_same_alone_and_in_company():
    net, x = helpers.network(), helpers.images(40, seed=1)
    together = kernels.sketch(net, x, key=jax.random.key(0), size=32)
    alone = kernels.sketch(net, x[37:38], key=jax.random.key(0), size=32)
    np.testing.assert_allclose(alone[0], together[37], rtol=1e-4, atol=1e-5)


def test_bad_sizes_and_names_are_refused():
    net, x = helpers.network(), helpers.images(2)
    with pytest.raises(ValueError, match="size must be"):
        kernels.sketch(net, x, key=jax.random.key(0), size=0)
    with pytest.raises(ValueError, match="unknown readout"):
        kernels.sketch(net, x, key=jax.random.key(0), readout="last")
