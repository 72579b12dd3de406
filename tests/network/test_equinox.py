"""Networks of Equinox: models of one example, with keys, buffers and state."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network
from ntk_al.network.dropout import dropout_rates
from tests.network import libraries

pytestmark = pytest.mark.quick
X = libraries.inputs()


def test_an_equinox_model_predicts_as_in_inference_mode():
    model = libraries.NoisyEquinox()
    net = Network.from_equinox(model)
    inference = eqx.nn.inference_mode(model)
    expected = jax.vmap(lambda x: inference(x, jax.random.key(1)))(X)
    np.testing.assert_allclose(net.predict(X), expected, atol=1e-6)
    assert not model.dropout.inference
    assert dropout_rates(net, X) == (0.3,)


def test_arrays_of_an_equinox_model_that_are_not_parameters_are_constants():
    class Buffered(eqx.Module):
        head: eqx.nn.Linear
        order: jax.Array
        scale: float

        def __call__(self, x):
            return self.head(x[self.order] * self.scale)

    head = eqx.nn.Linear(libraries.D, 3, key=jax.random.key(0))
    model = Buffered(head, jnp.arange(libraries.D)[::-1], 0.5)
    net = Network.from_equinox(model)
    assert [a.shape for a in jax.tree.leaves(net.params)] == [(3, libraries.D), (3,)]
    np.testing.assert_allclose(net.predict(X), jax.vmap(model)(X), atol=1e-6)


class WithState(eqx.Module):
    norm: eqx.nn.BatchNorm
    head: eqx.nn.Linear

    def __init__(self):
        self.norm = eqx.nn.BatchNorm(libraries.D, "batch", mode="batch")
        self.head = eqx.nn.Linear(libraries.D, 3, key=jax.random.key(0))

    def __call__(self, x, state):
        x, state = self.norm(x, state)
        return self.head(x), state


def test_a_state_of_equinox_is_refused_unless_it_is_bound_to_the_model():
    model, state = eqx.nn.make_with_state(WithState)()
    _, state = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(X, state)
    with pytest.raises(TypeError, match=r"eqx\.Partial"):
        Network.from_equinox(model)
    bound = eqx.Partial(eqx.nn.inference_mode(model), state=state)
    net = Network.from_equinox(bound, output=lambda out: out[0])
    np.testing.assert_allclose(net.predict(X), jax.vmap(bound)(X)[0], atol=1e-6)
    # The scale and bias of BatchNorm, and the head; running statistics are no parameters.
    assert len(jax.tree.leaves(net.params)) == 4
