"""The kernel of every kind of network equals inner products of single gradients in float64."""

from __future__ import annotations

import numpy as np
import pytest

from ntk_al import kernels
from tests.kernels.empirical.exactness import (
    equinox_networks,
    linen_networks,
    nnx_networks,
    plain_networks,
    reference,
)

GROUPS = {
    "linen": linen_networks.CASES,
    "nnx": nnx_networks.CASES,
    "equinox": equinox_networks.CASES,
    "plain": plain_networks.CASES,
}
CASES = {
    f"{group}/{name}": build for group, cases in GROUPS.items() for name, build in cases.items()
}


def relative_error(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(b).max()


@pytest.mark.parametrize("name", CASES)
def test_gram_is_made_of_single_gradients(name):
    network, x = CASES[name]()
    expected = reference.gram(network, x)
    assert expected.diagonal().min() > 0
    assert relative_error(kernels.gram(network, x), expected) <= 1e-5
