"""The kernel of every kind of network equals inner products of single gradients in float64."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntk_al import kernels, lookahead
from tests import cases
from tests.kernels.empirical.exactness import (
    equinox_networks,
    linen_networks,
    nnx_networks,
    plain_networks,
    reference,
    same_network,
)

GROUPS = {
    "linen": linen_networks.CASES,
    "nnx": nnx_networks.CASES,
    "equinox": equinox_networks.CASES,
    "plain": plain_networks.CASES,
}
CASES = {
    f"{group}/{name}": build
    for group, networks in GROUPS.items()
    for name, build in networks.items()
}
PROMOTING = ("linen/grouped_convolution", "plain/fused_projections_split_as_weights")
"""Networks that take inputs of another floating type than that of their parameters."""

IN_ONE_TYPE = (
    *PROMOTING,
    "nnx/ResidualNetwork",
    "nnx/TiedEmbeddings",
    "equinox/DepthwiseConvolution",
    "plain/scan_over_stacked_layers",
)


def relative_error(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(b).max()


@pytest.mark.parametrize("name", cases.every_other(CASES))
def test_gram_is_made_of_single_gradients(name):
    if name.removeprefix("nnx/") in nnx_networks.NEED_FLAX_0_12 and not hasattr(nnx, "List"):
        pytest.skip("Flax 0.11 does not have this, or not in float64")
    network, x = CASES[name]()
    expected = reference.gram(network, x)
    assert expected.diagonal().min() > 0
    assert relative_error(kernels.gram(network, x), expected) <= 1e-5


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", PROMOTING)
def test_gram_of_parameters_in_half_precision_is_that_of_the_same_values(name, dtype):
    network, x = CASES[name]()
    network = network.with_params(rounded(network.params, dtype))
    expected = reference.gram(network, x)
    assert relative_error(kernels.gram(network, x), expected) <= 0.01


@pytest.mark.parametrize(
    ("name", "dtype"), list(zip(IN_ONE_TYPE, itertools.cycle([jnp.bfloat16, jnp.float16])))
)
def test_gram_computed_in_half_precision_is_near_that_of_the_same_values(name, dtype):
    network, x = CASES[name]()
    network, x = network.with_params(rounded(network.params, dtype)), rounded(x, dtype)
    expected = reference.gram(network, x)
    assert relative_error(kernels.gram(network, x), expected) <= 0.01


def rounded(tree, dtype):
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf, dtype) if reference.is_real(leaf) else leaf, tree
    )


def test_one_network_has_one_kernel_in_every_library(x64):
    x = same_network.inputs()
    expected = reference.gram(same_network.plain(), x)
    for build in same_network.BUILDERS:
        np.testing.assert_allclose(kernels.gram(build(), x), expected, rtol=1e-6)


def test_one_network_has_one_score_in_every_library(x64):
    x, labels = same_network.inputs(), np.array([0, 1, 2, 0])
    scores = [lookahead.score(build(), x[:4], labels, x[4:]) for build in same_network.BUILDERS]
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-6)
