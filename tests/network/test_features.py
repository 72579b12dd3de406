"""The inputs of the last linear layer, read off the program of the network."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network
from ntk_al.network.features import LackingError, check_last_features, last_features
from tests.network import libraries

pytestmark = pytest.mark.quick
X, W = libraries.inputs(), libraries.weights()
HIDDEN = np.tanh(X @ W["A"] + W["a"])


@pytest.mark.parametrize("way", libraries.WAYS_IN)
def test_features_are_the_inputs_of_the_last_linear_layer(way):
    net = libraries.WAYS_IN[way]()
    check_last_features(net, X)
    np.testing.assert_allclose(last_features(net, X), HIDDEN, atol=1e-6)


def test_features_of_an_nnx_network_in_training_mode_are_those_of_inference():
    model = libraries.NoisyNnx()
    net = Network.from_nnx(model)
    model.eval()
    expected = jax.nn.relu(model.norm(model.hidden(X)))
    np.testing.assert_allclose(last_features(net, X), expected, atol=1e-5)


LINEAR_HEADS = {
    "without bias": lambda h: h @ W["B"],
    "with bias": lambda h: h @ W["B"] + W["b"],
    "scaled": lambda h: 1 - (h @ W["B"] + W["b"]) / 4,
    "transposed": lambda h: (W["B"].T @ h.T).T,
    "einsum": lambda h: jnp.einsum("nd,dc->nc", h, W["B"]),
    "of one example": lambda h: jax.vmap(lambda one: W["B"].T @ one)(h),
    "jitted": lambda h: jax.jit(lambda h, w: h @ w)(h, W["B"]),
    "with normalized weights": lambda h: h @ (W["B"] / jnp.linalg.norm(W["B"], axis=0)),
    "in half precision": lambda h: (h @ W["B"]).astype(jnp.bfloat16).astype(jnp.float32),
}
OTHER_HEADS = {
    "soft cap": lambda h: 30 * jnp.tanh(h @ W["B"] / 30),
    "log softmax": lambda h: jax.nn.log_softmax(h @ W["B"]),
    "reciprocal": lambda h: 1 / (h @ W["B"]),
    "two layers": lambda h: h @ W["B"] + jnp.sin(h) @ W["B"],
    "temperature of the input": lambda h: h @ W["B"] / (1 + jnp.square(h).sum(1, keepdims=True)),
    "features": lambda h: h[:, :3],
}


def with_head(head):
    return Network.from_function(lambda w, x: head(jnp.tanh(x @ w["A"] + w["a"])), W)


@pytest.mark.parametrize("head", LINEAR_HEADS)
def test_a_linear_head_may_be_written_in_any_way(head):
    np.testing.assert_allclose(last_features(with_head(LINEAR_HEADS[head]), X), HIDDEN, atol=1e-6)


@pytest.mark.parametrize("head", OTHER_HEADS)
def test_heads_that_are_not_linear_have_no_features(head):
    net = with_head(OTHER_HEADS[head])
    for use in (check_last_features, last_features):
        with pytest.raises(LackingError, match="does not end in a linear layer"):
            use(net, X)


def test_a_convolution_as_the_head_has_no_features():
    class Convolutional(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(3, (1,))(x[:, None])[:, 0]

    net = Network(Convolutional(), Convolutional().init(jax.random.key(0), X))
    with pytest.raises(LackingError, match="Convolutional does not end in a linear layer"):
        check_last_features(net, X)


def test_features_of_pytree_inputs():
    net = Network.from_function(lambda w, x: libraries.apply(w, x["a"] + x["b"]), W)
    np.testing.assert_allclose(last_features(net, {"a": X / 2, "b": X / 2}), HIDDEN, atol=1e-6)
