"""Networks of Flax NNX: the model is copied, and keeps its mode, its counters and its keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntk_al import Network, kernels, lookahead
from ntk_al.network.dropout import dropout_rates, sample_logits
from tests import helpers
from tests.network import libraries

pytestmark = pytest.mark.quick
X = libraries.inputs()


def test_an_nnx_model_predicts_as_in_eval_mode_and_is_not_changed():
    model = libraries.NoisyNnx()
    model(X)  # its running statistics are no longer the initial ones
    before = jax.tree.map(jnp.array, nnx.state(model))
    net = Network.from_nnx(model)
    predicted, _ = net.predict(X), kernels.gram(net, X)
    assert not model.dropout.deterministic
    assert not model.norm.use_running_average
    jax.tree.map(np.testing.assert_array_equal, _plain(nnx.state(model)), _plain(before))
    model.eval()
    np.testing.assert_allclose(predicted, model(X), atol=1e-6)


def _plain(state):
    """The arrays of a state; PRNG keys as integers."""
    return [
        jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a
        for a in jax.tree.leaves(state)
    ]


def test_a_network_does_not_follow_the_model_from_which_it_was_made():
    model = libraries.NnxModel()
    net = Network.from_nnx(model)
    before = net.predict(X)
    model.head.bias[...] = jnp.ones(libraries.C)
    np.testing.assert_array_equal(net.predict(X), before)


def test_an_nnx_model_may_count_its_calls_and_record_what_it_sees():
    net = Network.from_nnx(libraries.Recording())
    np.testing.assert_array_equal(net.logits(X), net.logits(X))
    np.testing.assert_allclose(kernels.gram(net, X), helpers.plain_gram(net, X, X), rtol=1e-5)


def test_an_nnx_layer_that_is_used_twice_is_one_parameter():
    class Shared(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.first = self.second = nnx.Linear(libraries.D, libraries.D, rngs=rngs)
            self.head = nnx.Sequential(nnx.tanh, nnx.Linear(libraries.D, 3, rngs=rngs))

        def __call__(self, x):
            return self.head(self.second(nnx.tanh(self.first(x))))

    net = Network.from_nnx(Shared())
    assert len(jax.tree.leaves(net.params)) == 4
    np.testing.assert_allclose(kernels.gram(net, X), helpers.plain_gram(net, X, X), rtol=1e-5)


def test_nnx_layers_that_were_made_under_vmap_draw_dropout_of_their_own():
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(libraries.D, libraries.D, rngs=rngs)
            self.dropout = nnx.Dropout(0.2, rngs=rngs)

        def __call__(self, x):
            return nnx.relu(self.dropout(self.linear(x)))

    class Stack(nnx.Module):
        def __init__(self, rngs):
            make = nnx.split_rngs(splits=3)(nnx.vmap(Block, in_axes=0, out_axes=0))
            self.blocks, self.head = make(rngs), nnx.Linear(libraries.D, 3, rngs=rngs)

        def __call__(self, x):
            run = nnx.scan(lambda x, block: block(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
            return self.head(run(x, self.blocks))

    net = Network.from_nnx(Stack(nnx.Rngs(0)))
    np.testing.assert_allclose(kernels.gram(net, X), helpers.plain_gram(net, X, X), rtol=1e-4)
    sampled = sample_logits(net, jax.random.split(jax.random.key(0), len(X)), X)
    assert np.abs(sampled - net.predict(X)).max() > 1e-3


class Asked(nnx.Module):
    """Dropout that the argument of a call decides about, and keys that the call may bring."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.head = nnx.Linear(libraries.D, 3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x, *, deterministic, rngs=None):
        return self.head(self.dropout(x, deterministic=deterministic, rngs=rngs))


@pytest.mark.parametrize("model", [libraries.NoisyNnx, Asked])
def test_dropout_of_nnx_is_off_in_predictions_and_on_in_samples(model):
    net = Network.from_nnx(model())
    assert dropout_rates(net, X) == ((0.3,) if model is libraries.NoisyNnx else (0.5,))
    np.testing.assert_array_equal(net.predict(X), net.predict(X))
    first, again, other = (
        sample_logits(net, jax.random.split(jax.random.key(seed), len(X)), X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first - net.predict(X)).max() > 0.01


def test_scores_of_an_nnx_network_compile_into_one_program():
    net, y = Network.from_nnx(libraries.NoisyNnx()), np.array([0, 1])

    def score(net, x_labeled, x_pool):
        return lookahead.score(net, x_labeled, y, x_pool, reference="linearized")

    np.testing.assert_allclose(
        jax.jit(score)(net, X[:2], X[2:]), score(net, X[:2], X[2:]), rtol=1e-4
    )
