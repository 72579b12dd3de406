"""What is refused before anything is computed, and what must not be."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntk_al import Network, kernels, training
from tests import helpers
from tests.network import libraries

pytestmark = pytest.mark.quick
X, W = libraries.inputs(), libraries.weights()


def of(apply, params=W, **options):
    return Network.from_function(apply, params, **options)


class Normalized(nnx.Module):
    """BatchNorm that uses the statistics of its batch, whatever the mode of the model."""

    def __init__(self):
        self.head = nnx.Linear(libraries.D, 3, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.head((x - x.mean(0)) / x.std(0))


DEPENDENT = {
    "the mean of the batch": of(lambda w, x: libraries.apply(w, x - x.mean(0))),
    "softmax over the batch": of(lambda w, x: jax.nn.softmax(libraries.apply(w, x), axis=0)),
    "an NNX model": Network.from_nnx(Normalized()),
}


@pytest.mark.parametrize("name", DEPENDENT)
@pytest.mark.parametrize("num", [1, 2, 6, 100])
def test_outputs_that_depend_on_other_examples_are_refused(name, num):
    with pytest.raises(ValueError, match=r"depends on the other examples.*Call model\.eval\(\)"):
        kernels.gram(DEPENDENT[name], libraries.inputs(num))


def test_batchnorm_of_linen_in_training_mode_is_refused():
    class Training(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.BatchNorm(use_running_average=False)(x))

    net = Network(Training(), Training().init(jax.random.key(0), X))
    with pytest.raises(ValueError, match="it is still in training mode"):
        net.check(X)


@pytest.mark.parametrize(
    "net",
    [
        helpers.network(),
        Network.from_nnx(libraries.NoisyNnx()),
        of(lambda w, x: 1e-4 * libraries.apply(w, 1e3 * x)),
    ],
)
@pytest.mark.parametrize("num", [1, 3, 500])
def test_rounding_is_not_taken_for_dependence(net, num):
    x = helpers.images(num) if net.module is not None else libraries.inputs(num)
    assert net.check(x) == 3


def test_networks_in_half_precision_pass():
    half = {name: jnp.asarray(a, jnp.bfloat16) for name, a in W.items()}
    net = of(libraries.apply, half)
    x = jnp.asarray(libraries.inputs(500), jnp.bfloat16)
    assert net.predict(x).dtype == jnp.bfloat16
    assert net.check(x) == net.check(np.asarray(x, np.float32)) == 3


def test_a_diverged_network_is_named_when_it_predicts():
    net = libraries.function()
    broken = net.with_params(jax.tree.map(lambda a: a * jnp.nan, net.params))
    with pytest.raises(ValueError, match=r"has 18 NaN or infinite entries.*diverged"):
        broken.predict(X)


def test_nan_inputs_are_not_taken_for_a_diverged_network():
    x = np.array(X)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"x has 1 NaN or infinite entries.*\(3, 1\)") as error:
        libraries.function().predict(x)
    assert "diverged" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network(helpers.TinyNet, {}), "got the class TinyNet in place of a module"),
        (lambda: Network({}, helpers.TinyNet()), "the arguments are swapped"),
        (lambda: Network(nnx.Linear(5, 3, rngs=nnx.Rngs(0)), None), r"use Network\.from_nnx"),
        (lambda: Network.from_nnx(Normalized), "got the class Normalized in place of a model"),
        (lambda: Network.from_nnx(helpers.TinyNet()), "takes a flax.nnx model, got TinyNet"),
        (lambda: Network.from_equinox(libraries.EquinoxModel), "the class EquinoxModel in place"),
        (lambda: Network.from_equinox(Normalized()), "callable equinox.Module, got Normalized"),
        (lambda: Network.from_function(W, libraries.apply), "got dict; the arguments are swapped"),
        (lambda: Network.from_function(3, W), r"a function apply\(params, x\), got int"),
    ],
)
def test_what_is_no_network_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_variables_without_params_are_refused():
    with pytest.raises(ValueError, match=r"module\.init\(jax\.random\.key\(0\), x\)"):
        Network(helpers.TinyNet(), {})


def test_running_statistics_are_not_taken_for_parameters():
    module, variables = helpers.TinyNet(), helpers.network().variables
    with pytest.raises(ValueError, match="running statistics are not parameters"):
        Network.from_function(module.apply, variables)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (of(lambda w, x: libraries.apply(w, x).mean(0)), r"to take one example; write jax\.vmap"),
        (of(lambda w, x: w["A"].T @ x), "a function of one example needs jax.vmap"),
        (of(lambda w, rng, x: libraries.apply(w, x)), r"apply\(params, None, x\) where a PRNG"),
        (of(lambda x, w: libraries.apply(w, x)), "Its arguments are swapped: it takes .x, params."),
        (of(lambda w, x: libraries.apply(w, x)[:, 0]), r"output=lambda out: out\[:, None\]"),
        (of(lambda w, x: libraries.apply(w, x)[:, None]), r"it returned shape \(6, 1, 3\)"),
        (of(lambda w, x: (libraries.apply(w, x), x)), r"returned a tuple of 2 in place .*out\[0\]"),
        (of(lambda w, x: {"logits": x, "h": x}), "returned a dict with 'h', 'logits'"),
        (of(lambda w, x: object()), r"an object of type object .*out\.logits"),
        (of(lambda w, x: {"logits": x}, output=lambda out: out["logit"]),
         "output= .* cannot be applied to a dict with 'logits'.*KeyError: 'logit'"),
        (of(lambda w, x: libraries.apply(w, x), output=lambda out: out.logits),
         r"output= .* cannot be applied to an array of shape \(6, 3\)"),
        (of(lambda w, x: x.reshape(w["parts"], -1), {**W, "parts": 2}),
         r"params\['parts'\] is not an array"),
        (of(lambda w, x: libraries.apply(w, x), {**W, "kind": "relu"}),
         r"params\['kind'\] is not an array"),
    ],
)  # fmt: skip
def test_outputs_that_are_not_logits_are_explained(net, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        net.check(X)


def test_a_linen_module_of_several_inputs_is_told_how_to_be_wrapped():
    class TwoInputs(nn.Module):
        @nn.compact
        def __call__(self, a, b):
            return nn.Dense(3)(a + b)

    module, batch = TwoInputs(), {"a": X, "b": X}
    variables = module.init(jax.random.key(0), X, X)
    with pytest.raises(ValueError, match="A module that takes several inputs can be wrapped"):
        Network(module, variables).check(batch)
    wrapped = Network.from_function(
        lambda params, x: module.apply({"params": params}, x["a"], x["b"]), variables["params"]
    )
    assert wrapped.check(batch) == 3


@pytest.mark.parametrize(
    "apply",
    [
        lambda w, x: libraries.apply(jax.lax.stop_gradient(w), x),
        lambda w, x: libraries.apply(W, x),
    ],
)
def test_a_network_whose_parameters_are_frozen_is_refused(apply):
    with pytest.raises(ValueError, match=r"the kernel is zero.*Are all parameters frozen"):
        kernels.gram(of(apply), X)


def test_complex_parameters_are_refused_by_name():
    net = of(libraries.apply, {**W, "spectrum": np.ones(2, np.complex64)})
    with pytest.raises(TypeError, match="the parameter spectrum of the network apply is complex"):
        kernels.gram(net, X)


def test_a_network_without_parameters_is_refused():
    net = of(lambda params, x: x[:, :3], {})
    config = training.TrainingConfig(epochs=1)
    with pytest.raises(ValueError, match=r"has no parameters: .* is empty"):
        kernels.gram(net, X)
    with pytest.raises(ValueError, match="has no parameters"):
        training.fit(jax.random.key(0), net, X, np.zeros(6, int), config)


@pytest.mark.parametrize("use", [kernels.gram, Network.predict])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([X, X], TypeError, r"is a list; make one array of it with np\.stack"),
        ({"x": X, "mask": X[:3]}, ValueError, r"\['mask'\] has 3, .*\['x'\] has 6"),
        ({}, ValueError, "holds no arrays"),
        ({"x": "text"}, TypeError, r"\['x'\] must be a NumPy or JAX array, got str"),
        (X[:, :2], ValueError, r"cannot be applied to inputs of \(6, 2\) float32"),
        (X[:0], ValueError, "is empty"),
    ],
)
def test_inputs_that_are_no_batch_are_refused(use, x, error, message):
    with pytest.raises(error, match=message):
        use(libraries.function(), x)


def test_a_network_that_computes_in_half_precision_is_warned_of():
    module = nn.Dense(3, dtype=jnp.bfloat16)
    net = Network(module, module.init(jax.random.key(0), X))
    with pytest.warns(UserWarning, match="computes in bfloat16, for example at kernel"):
        kernels.gram(net, X)
