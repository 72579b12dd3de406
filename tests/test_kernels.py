from __future__ import annotations

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, kernels, models, training
from ntk_al.kernels import neural_tangents_compat
from ntk_al.network import READOUTS
from tests import helpers


def relative_error(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(b).max()


@pytest.mark.parametrize("readout", READOUTS)
def test_gram_is_the_inner_product_of_single_gradients(readout):
    net, x1, x2 = helpers.network(), helpers.images(5), helpers.images(3, seed=1)
    plain = helpers.plain_gram(net, x1, x2, readout)
    assert relative_error(kernels.gram(net, x1, x2, readout=readout), plain) < 1e-5


@pytest.mark.parametrize("name", models.MODELS)
def test_gram_equals_neural_tangents_on_every_model(name):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    module = models.build(name, 3, width=helpers.TINY_WIDTHS[name])
    net = training.initialise(jax.random.key(0), module, x)
    nt = neural_tangents_compat.load()

    def first_logit(params, inputs):
        return net.replace_params(params).logits(inputs)[:, :1]

    for implementation in ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS"):
        oracle = nt.empirical_ntk_fn(
            first_logit,
            vmap_axes=0,
            trace_axes=(-1,),
            implementation=nt.NtkImplementation[implementation],
        )(x, None, net.params)
        assert relative_error(kernels.gram(net, x), oracle) < 1e-5


def test_gram_equals_finite_differences(x64):
    net = helpers.network(dtype=np.float64)
    x = helpers.images(3, dtype=np.float64)
    flat, unravel = jax.flatten_util.ravel_pytree(net.params)
    readout = jax.jit(lambda theta: net.replace_params(unravel(theta)).readout(x))
    h = 1e-6
    steps = h * np.eye(flat.size)
    jacobian = np.stack([(readout(flat + s) - readout(flat - s)) / (2 * h) for s in steps])
    assert relative_error(kernels.gram(net, x), jacobian.T @ jacobian) < 1e-5


def test_gram_is_symmetric_and_positive_semidefinite():
    theta = np.asarray(kernels.gram(helpers.network(), helpers.images(12)), np.float64)
    np.testing.assert_array_equal(theta, theta.T)
    assert np.linalg.eigvalsh(theta).min() > -1e-5 * theta.trace()


def test_one_argument_is_the_same_as_two_equal_ones():
    net, x = helpers.network(), helpers.images(7)
    chex.assert_trees_all_close(kernels.gram(net, x), kernels.gram(net, x, x), rtol=1e-6)


def test_rows_recomputed_in_a_small_budget_give_the_same_gram():
    net, x1, x2 = helpers.network(), helpers.images(70), helpers.images(35, seed=1)
    small = 4 * 4 * 200 * 40
    chex.assert_trees_all_close(
        kernels.gram(net, x1, memory_budget=small), kernels.gram(net, x1), rtol=1e-5
    )
    chex.assert_trees_all_close(
        kernels.gram(net, x1, x2, memory_budget=small), kernels.gram(net, x1, x2), rtol=1e-5
    )


def test_traced_gram_is_one_program_with_the_same_values():
    net, x1, x2 = helpers.network(), helpers.images(40), helpers.images(3, seed=1)
    chex.assert_trees_all_close(
        jax.jit(kernels.gram)(net, x1, x2), kernels.gram(net, x1, x2), rtol=1e-5
    )


def test_sum_of_logits_is_the_mean_over_all_pairs_of_logits(x64):
    net, x = helpers.network(dtype=np.float64), helpers.images(4, dtype=np.float64)
    jacobian = jax.jacobian(lambda p: net.replace_params(p).logits(x))(net.params)
    leaves = [leaf.reshape(4, 3, -1) for leaf in jax.tree.leaves(jacobian)]
    full = sum(jnp.einsum("acp,bdp->acbd", leaf, leaf) for leaf in leaves)
    pseudo = full.sum((1, 3)) / 3
    assert relative_error(kernels.gram(net, x, readout="sum_logits"), pseudo) < 1e-12


def test_running_statistics_are_constants_of_the_kernel():
    net, x = helpers.network(), helpers.images(4)

    def row_of_all_variables(example):
        gradient = jax.grad(lambda v: Network(net.module, v).readout(example[None])[0])
        leaves = jax.tree.leaves(gradient(net.variables))
        return np.concatenate([np.ravel(leaf) for leaf in leaves])

    rows = np.stack([row_of_all_variables(example) for example in x])
    theta = kernels.gram(net, x)
    assert relative_error(theta, helpers.plain_gram(net, x, x)) < 1e-5
    assert relative_error(theta, rows @ rows.T) > 0.01


def test_statistics_of_batchnorm_enter_through_their_values():
    net, x = helpers.network(), helpers.images(4)
    other = Network(
        net.module,
        {
            **net.variables,
            "batch_stats": jax.tree.map(lambda s: 2 * s, net.variables["batch_stats"]),
        },
    )
    assert relative_error(kernels.gram(other, x), kernels.gram(net, x)) > 0.01


def test_diagonal_is_the_diagonal():
    net, x = helpers.network(), helpers.images(40)
    chex.assert_trees_all_close(
        kernels.diagonal(net, x), jnp.diagonal(kernels.gram(net, x)), rtol=1e-5
    )


def test_blocks_with_and_without_an_evaluation_set_are_blocks_of_one_gram():
    net = helpers.network()
    x_l, x_u, x_e = helpers.images(5), helpers.images(7, seed=1), helpers.images(4, seed=2)
    theta = kernels.gram(net, np.concatenate([x_l, x_e, x_u]))
    with_eval = kernels.blocks(net, x_l, x_u, x_e)
    chex.assert_trees_all_close(with_eval.labeled, theta[:5, :5], rtol=1e-5)
    chex.assert_trees_all_close(with_eval.labeled_eval, theta[:5, 5:9], rtol=1e-5)
    chex.assert_trees_all_close(with_eval.labeled_pool, theta[:5, 9:], rtol=1e-5)
    chex.assert_trees_all_close(with_eval.eval_pool, theta[5:9, 9:], rtol=1e-5)
    chex.assert_trees_all_close(with_eval.pool_diagonal, jnp.diagonal(theta)[9:], rtol=1e-5)
    without = kernels.blocks(net, x_l, x_u)
    chex.assert_trees_all_close(without.eval_pool, theta[9:, 9:], rtol=1e-5)
    chex.assert_trees_all_close(without.labeled_eval, without.labeled_pool)


def test_half_precision_parameters_accumulate_in_float32():
    net = helpers.network(dtype=jnp.bfloat16)
    theta = kernels.gram(net, helpers.images(3).astype(jnp.bfloat16))
    assert theta.dtype == jnp.float32
    exact = kernels.gram(helpers.network(), helpers.images(3))
    assert relative_error(theta, exact) < 0.05


def test_gram_compiles_once_for_each_shape(compilations):
    net = helpers.network(seed=3)
    kernels.gram(net, helpers.images(40, seed=0))
    before = len(compilations)
    kernels.gram(net, helpers.images(40, seed=1))
    assert len(compilations) == before


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (np.zeros((0, 4, 4, 1), np.float32), None, "x1 is empty"),
        (np.zeros(4, np.float32), None, "x1 must be a batch"),
        (np.full((2, 4, 4, 1), np.nan, np.float32), None, "x1 has 32 NaN or infinite"),
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 5, 4, 1), np.float32), "x2 of shape"),
        (np.zeros((2, 5, 5, 1), np.float32), None, "cannot be applied to inputs of shape"),
    ],
)
def test_bad_inputs_are_refused_by_name(x1, x2, message):
    with pytest.raises(ValueError, match=message):
        kernels.gram(helpers.network(), x1, x2)


def test_unknown_readout_lists_the_known_ones():
    with pytest.raises(ValueError, match="known: first_logit, sum_logits"):
        kernels.gram(helpers.network(), helpers.images(2), readout="last_logit")
