from __future__ import annotations

import functools

import chex
import flax.linen as nn
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ntk_al import Network, kernels, lookahead, models, posterior, training
from ntk_al._utils import compat
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.infinite import neural_tangents_compat
from ntk_al.network import READOUTS
from tests import cases, helpers


def relative_error(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(b).max()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.quick
def test_gram_is_the_inner_product_of_single_gradients(readout):
    net, x1, x2 = helpers.network(), helpers.images(5), helpers.images(3, seed=1)
    plain = helpers.plain_gram(net, x1, x2, readout)
    assert relative_error(kernels.gram(net, x1, x2, readout=readout), plain) < 1e-5


@pytest.mark.parametrize("name", cases.without("resnet18", models.MODELS))
def test_gram_equals_neural_tangents_on_every_model(name):
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    module = helpers.tiny_model(name)
    net = training.initialize(jax.random.key(0), module, x)
    nt = neural_tangents_compat.load()

    def first_logit(params, inputs):
        return net.with_params(params).logits(inputs)[:, :1]

    # The second compiles for long on deep networks, and says the same.
    small = name == "mlp"
    for implementation in ("JACOBIAN_CONTRACTION", *(["NTK_VECTOR_PRODUCTS"] if small else [])):
        kernel = nt.empirical_ntk_fn(
            first_logit,
            vmap_axes=0,
            trace_axes=(-1,),
            implementation=nt.NtkImplementation[implementation],
        )
        oracle = jax.jit(lambda params, kernel=kernel: kernel(x, None, params))(net.params)
        assert relative_error(kernels.gram(net, x), oracle) < 1e-5


def test_gram_equals_finite_differences(x64):
    net = helpers.network(dtype=np.float64)
    x = helpers.images(3, dtype=np.float64)
    flat, unravel = jax.flatten_util.ravel_pytree(net.params)
    h = 1e-6

    @jax.jit
    @jax.vmap
    def difference(step):
        ahead, behind = (net.with_params(unravel(flat + s)).readout(x) for s in (step, -step))
        return (ahead - behind) / (2 * h)

    jacobian = np.asarray(difference(h * np.eye(flat.size)))
    assert relative_error(kernels.gram(net, x), jacobian.T @ jacobian) < 1e-5


def test_gram_is_symmetric_and_positive_semidefinite():
    theta = np.asarray(kernels.gram(helpers.network(), helpers.images(12)), np.float64)
    np.testing.assert_array_equal(theta, theta.T)
    assert np.linalg.eigvalsh(theta).min() > -1e-5 * theta.trace()


def test_one_argument_is_the_same_as_two_equal_ones():
    net, x = helpers.network(), helpers.images(7)
    chex.assert_trees_all_close(kernels.gram(net, x), kernels.gram(net, x, x), rtol=1e-6)


def test_layers_taken_in_groups_in_a_small_budget_give_the_same_gram(caplog):
    net, x1, x2 = convnet(), wide_images(35), wide_images(20, seed=1)
    whole, blocks = kernels.gram(net, x1), kernels.gram(net, x1, x2)
    with caplog.at_level("INFO", "ntk_al"):
        assert relative_error(kernels.gram(net, x1, memory_budget=2**19), whole) < 1e-6
        assert passes(caplog) > 1
        assert relative_error(kernels.gram(net, x1, x2, memory_budget=2**19), blocks) < 1e-6
        assert passes(caplog) > 1


def test_a_budget_too_small_for_one_layer_says_what_is_needed():
    net = training.initialize(jax.random.key(0), models.build("convnet", 3), wide_images(1))
    with pytest.raises(ValueError, match=r"70 samples needs .* MiB .* budget is 0.1 MiB") as error:
        kernels.gram(net, wide_images(70), memory_budget=10**5)
    needed = int(str(error.value).split("about ")[1].split(" MiB")[0])
    assert kernels.gram(net, wide_images(70), memory_budget=needed * 2**20).shape == (70, 70)


def test_larger_budgets_take_fewer_passes(caplog):
    net, counts = convnet(), []
    for budget in (2**19, 2**20, 2**27):
        caplog.clear()
        with caplog.at_level("INFO", "ntk_al"):
            kernels.gram(net, wide_images(35), memory_budget=budget)
        counts.append(passes(caplog))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1


@functools.cache
def convnet():
    return training.initialize(
        jax.random.key(0), models.build("convnet", 3, width=16), wide_images(1)
    )


def wide_images(num, seed=0):
    return np.random.default_rng(seed).normal(size=(num, 8, 8, 1)).astype(np.float32)


def passes(caplog):
    """Passes through the network of the last plan."""
    return int(caplog.messages[-1].split("plan: ")[1].split(" pass")[0])


class Everything(nn.Module):
    """Layers with a rule, layers without one, and every way to hide a parameter from a rule."""

    @nn.compact
    def __call__(self, ids):
        embed = nn.Embed(7, 4)
        h = embed(ids)
        h = nn.LayerNorm()(nn.remat(nn.Dense)(4)(h))
        shared = nn.Dense(4)
        h = shared(nn.tanh(shared(h)))
        h = nn.MultiHeadDotProductAttention(2)(h, h) + nn.Embed(7, 4)(ids)
        h = h * self.param("scale", nn.initializers.normal(), (4,))
        h = nn.GroupNorm(2)(nn.Conv(4, (3,), padding="CIRCULAR")(h))
        h = nn.ConvTranspose(4, (2,), (2,))(h)
        h = nn.Conv(6, (3,), strides=2, feature_group_count=2, use_bias=False)(h)
        h = nn.RNN(nn.SimpleCell(4))(h)
        transposed = nn.Dense(3)(h.swapaxes(0, 1)).swapaxes(0, 1)
        return embed.attend(h)[:, 0, :3] + transposed.sum(1)


def test_gram_is_exact_for_a_network_that_mixes_known_and_unknown_parts():
    ids = np.random.default_rng(0).integers(0, 7, (5, 6))
    net = Network(Everything(), Everything().init(jax.random.key(0), ids))
    plain = helpers.plain_gram(net, ids, ids)
    assert relative_error(kernels.gram(net, ids), plain) < 1e-6
    assert relative_error(kernels.diagonal(net, ids), plain.diagonal()) < 1e-6


def test_parameters_without_a_fast_rule_are_named_once(caplog):
    def apply(params, x):
        x = x.reshape(len(x), -1)
        return x @ jnp.square(params["squared"]) + x @ params["plain"]

    keys, x = jax.random.split(jax.random.key(0)), helpers.images(3)
    names = ("plain", "squared")
    params = {name: jax.random.normal(key, (16, 2)) for name, key in zip(names, keys, strict=True)}
    net = Network.from_function(apply, params)
    with caplog.at_level("INFO"):
        for _ in range(2):
            assert relative_error(kernels.gram(net, x), helpers.plain_gram(net, x, x)) < 1e-5
    said = [r.getMessage() for r in caplog.records if "per sample" in r.getMessage()]
    assert said == ["the gradients of these parameters are computed per sample: squared"]


@pytest.mark.quick
def test_a_kernel_that_is_not_finite_names_the_layer():
    net = helpers.network()
    broken = jax.tree.map(lambda leaf: leaf, net.params)
    broken["Dense_0"]["kernel"] = broken["Dense_0"]["kernel"].at[:, 0].set(jnp.inf)
    with pytest.raises(ValueError, match="beginning with the gradient of the layer of Conv_0"):
        kernels.gram(net.with_params(broken), helpers.images(3))


@pytest.mark.parametrize(
    ("precision", "error"),
    [("float32", 1e-6), ("bfloat16_3x", 1e-5), ("tensorfloat32", 1e-3), ("bfloat16", 1e-2)],
)
def test_precision_rounds_entries_and_keeps_the_kernel_positive(precision, error):
    net, x = helpers.network(), helpers.images(30)
    with compat.enable_x64(True):
        exact = helpers.plain_gram(helpers.network(dtype=np.float64), x, x)
    theta = np.asarray(kernels.gram(net, x, precision=precision), np.float64)
    assert theta.dtype == np.float64
    assert error / 1000 < relative_error(theta, exact) < error
    assert np.linalg.eigvalsh(theta).min() > -1e-6 * theta.trace()


def test_with_rounded_entries_a_rank_deficient_kernel_stays_semidefinite_and_ranks_alike():
    num_labeled, x = 100, np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    net = training.initialize(jax.random.key(0), models.MLP(num_classes=3, width=4), x)
    wide = net.with_params(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), net.params))
    targets = np.eye(3)[helpers.labels(num_labeled)]

    def spectrum_and_scores(net, x, precision):
        theta = np.asarray(kernels.gram(net, x, precision=precision), np.float64)
        f = np.asarray(net.predict(x), np.float64)
        blocks = helpers.square_blocks(theta, num_labeled)
        belief = posterior.condition(blocks, targets - f[:num_labeled], f[num_labeled:], ridge=1e-4)
        scores = lookahead.score_posterior(belief, reference="linearized")
        return np.linalg.eigvalsh(theta)[0] / theta.diagonal().mean(), scores

    with compat.enable_x64(True):
        _, exact = spectrum_and_scores(wide, x.astype(np.float64), "float32")
    least = {"float32": 0.9995, "bfloat16_3x": 0.9995, "tensorfloat32": 0.999, "bfloat16": 0.97}
    for precision in kernels.PRECISIONS:
        smallest, scores = spectrum_and_scores(net, x, precision)
        assert smallest > -5e-6, precision
        assert scipy.stats.spearmanr(exact, scores).statistic > least[precision], precision


def test_rounded_entries_rank_candidates_like_exact_ones():
    net = helpers.network()
    arrays = helpers.images(20), helpers.labels(20), helpers.images(60, seed=1)
    exact = lookahead.score(net, *arrays, reference="linearized")
    for precision in kernels.PRECISIONS:
        rounded = lookahead.score(net, *arrays, reference="linearized", precision=precision)
        assert scipy.stats.spearmanr(exact, rounded).statistic > 0.999


def test_traced_gram_is_one_program_with_the_same_values():
    net, x1, x2 = helpers.network(), helpers.images(40), helpers.images(3, seed=1)
    chex.assert_trees_all_close(
        jax.jit(kernels.gram)(net, x1, x2), kernels.gram(net, x1, x2), rtol=1e-5
    )


def test_sum_of_logits_is_the_mean_over_all_pairs_of_logits(x64):
    net, x = helpers.network(dtype=np.float64), helpers.images(4, dtype=np.float64)
    jacobian = jax.jit(jax.jacobian(lambda p: net.with_params(p).logits(x)))(net.params)
    leaves = [leaf.reshape(4, 3, -1) for leaf in jax.tree.leaves(jacobian)]
    full = sum(jnp.einsum("acp,bdp->acbd", leaf, leaf) for leaf in leaves)
    pseudo = full.sum((1, 3)) / 3
    assert relative_error(kernels.gram(net, x, readout="sum_logits"), pseudo) < 1e-12


def test_running_statistics_are_constants_of_the_kernel():
    net, x = helpers.network(), helpers.images(4)

    @jax.jit
    @jax.grad
    def gradient(variables, example):
        return Network(net.module, variables).readout(example[None])[0]

    trees = [gradient(net.variables, example) for example in x]
    rows = np.stack([np.concatenate([np.ravel(a) for a in jax.tree.leaves(t)]) for t in trees])
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


@pytest.mark.quick
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
        (
            np.zeros((2, 5, 5, 1), np.float32),
            None,
            r"cannot be applied to inputs of \(2, 5",
        ),
    ],
)
@pytest.mark.quick
def test_bad_inputs_are_refused_by_name(x1, x2, message):
    with pytest.raises(ValueError, match=message):
        kernels.gram(helpers.network(), x1, x2)


def test_unknown_readout_lists_the_known_ones():
    with pytest.raises(ValueError, match="known: first_logit, sum_logits"):
        kernels.gram(helpers.network(), helpers.images(2), readout="last_logit")


def test_four_products_of_bfloat16_numbers_are_the_product_of_their_sums():
    """What accelerators compute is what a CPU computes."""
    a, b = helpers.images(6).reshape(6, -1), helpers.images(5, seed=1).reshape(5, -1)
    on_cpu, on_gpu = (
        Product("bfloat16_3x", backend)("nk,mk->nm", a, b) for backend in ("cpu", "gpu")
    )
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-6)
    assert (
        np.abs(np.asarray(on_cpu) - a.astype(np.float64) @ b.T).max() > 1e-6
    )  # entries are rounded
