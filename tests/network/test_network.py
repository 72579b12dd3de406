from __future__ import annotations

import numpy as np
import pytest

from ntk_al.network import READOUTS
from tests import helpers

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_predictions_do_not_depend_on_the_batch_size(batch_size):
    net, x = helpers.network(), helpers.images(7)
    np.testing.assert_allclose(net.predict(x, batch_size), net.logits(x), atol=1e-6)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_an_invalid_batch_size_is_refused(batch_size):
    with pytest.raises(ValueError, match="batch_size must be a positive"):
        helpers.network().predict(helpers.images(2), batch_size)


def test_no_inputs_are_refused():
    with pytest.raises(ValueError, match="x is empty"):
        helpers.network().predict(helpers.images(0))


def test_readouts_are_the_first_logit_and_the_scaled_sum():
    net, x = helpers.network(), helpers.images(4)
    f = np.asarray(net.logits(x))
    expected = {"first_logit": f[:, 0], "sum_logits": f.sum(1) / np.sqrt(3)}
    for name in READOUTS:
        np.testing.assert_allclose(net.readout(x, name), expected[name], rtol=1e-6, atol=1e-6)
