from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np
import pytest

from ntk_al import Network, kernels, models
from ntk_al.acquisition import requirements
from ntk_al.kernels.infinite import gram as infinite_kernels
from ntk_al.kernels.infinite import twins
from ntk_al.kernels.infinite.gram import HEADS, KINDS, choose_head
from ntk_al.models.layers import conv
from ntk_al.models.wide_resnet import _pre_activation_block
from tests import cases, helpers
from tests.kernels.infinite.problem import KEY, L, U, images, relative_error

WITH_A_TWIN = [name for name, model in models.MODELS.items() if model in twins.TWINS]


class WithoutBatchNorm(nn.Module):
    """A network whose BatchNorm layers do nothing and have no parameters."""

    backbone: nn.Module

    def __call__(self, x):
        def skip(next_function, args, kwargs, context):
            if isinstance(context.module, nn.BatchNorm):
                return args[0]
            return next_function(*args, **kwargs)

        with nn.intercept_methods(skip):
            return self.backbone(x)


class Residual(nn.Module):
    """Both kinds of shortcut, between a stem as wide as the rest and a flattened head."""

    width: int

    @nn.compact
    def __call__(self, x):
        x = conv(self.width)(x)
        x = _pre_activation_block(x, self.width, 1, train=False)
        x = _pre_activation_block(x, 2 * self.width, 2, train=False)
        return nn.Dense(2)(nn.relu(x).reshape(len(x), -1))


def residual_twin(module, pooled):
    return twins.serial(
        twins.convolution(module.width),
        twins.pre_activation_block(module.width, module.width),
        twins.pre_activation_block(module.width, 2 * module.width, stride=2),
        twins.relu(),
        twins.head(2, pooled),
    )


@pytest.mark.parametrize(
    ("build", "head", "widths"),
    [
        (lambda width: models.MLP(2, width=width), "pooled", (64, 512)),
        (lambda width: WithoutBatchNorm(models.ConvNet(2, width=width)), "pooled", (16, 128)),
        cases.thorough(lambda width: WithoutBatchNorm(Residual(width)), "flattened", (16, 128)),
    ],
    ids=["mlp", "convnet", "residual"],
)
def test_the_empirical_kernel_tends_to_the_twins_like_one_over_the_root_of_the_width(
    build, head, widths, monkeypatch
):
    monkeypatch.setitem(kernels.TWINS, Residual, residual_twin)
    x = images(4, size=5)
    keys = [jax.random.key(seed, impl="rbg") for seed in range(24)]  # compiles in half the time
    errors = []
    for width in widths:
        module = build(width)
        limit = kernels.infinite_gram(module, x, head=head)
        init = jax.jit(module.init)
        grams = [kernels.gram(Network(module, init(key, x[:1])), x) for key in keys]
        errors.append(np.mean([np.log(relative_error(gram, limit)) for gram in grams]))
    slope = np.polyfit(np.log(widths), errors, 1)[0]
    assert abs(slope + 1 / 2) < 0.15


def test_biases_that_begin_at_zero_have_their_part_in_the_kernel():
    x, module = 1e-3 * images(4, size=5), models.MLP(2, width=1024)  # weights have hardly any
    init = jax.jit(module.init)
    keys = [jax.random.key(seed, impl="rbg") for seed in range(8)]
    mean = np.mean([kernels.gram(Network(module, init(key, x)), x) for key in keys], 0)
    limit = kernels.infinite_gram(module, x)
    assert limit.min() > 1
    assert relative_error(mean, limit) < 0.05


@pytest.mark.parametrize("name", WITH_A_TWIN)
def test_a_twin_has_the_parameters_of_its_model_but_those_of_batchnorm(name):
    x = images(1)
    module = helpers.tiny_model(name)
    finite = jax.eval_shape(WithoutBatchNorm(module).init, KEY, x)["params"]
    init_function, _, _ = kernels.TWINS[type(module)](module, True)
    infinite_parameters = jax.eval_shape(lambda key: init_function(key, x.shape)[1], KEY)

    def sizes(tree):
        return sorted(leaf.size for leaf in jax.tree.leaves(tree))

    assert sizes(finite) == sizes(infinite_parameters)


@pytest.mark.parametrize("name", cases.without("resnet18", WITH_A_TWIN))
def test_every_twin_has_a_symmetric_positive_kernel(name):
    module = helpers.tiny_model(name)
    theta = np.asarray(kernels.infinite_gram(module, images(3), head="flattened"), np.float64)
    np.testing.assert_array_equal(theta, theta.T)
    assert np.linalg.eigvalsh(theta).min() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.quick
def test_relu_has_the_kernels_of_stax(kind):
    stax = twins._stax()
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    x[0], x[1], x[2] = 0, -x[3], x[4]

    def kernel(relu):
        *_, kernel_function = twins.serial(twins.dense(9), relu, twins.dense(9))
        return jax.jit(lambda x: kernel_function(x, x, kind))(x)

    ours, theirs = kernel(twins.relu()), kernel(stax.Relu())
    # Between equal inputs the angle is zero up to √1e-7.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    apart = theirs[5:, :5]
    np.testing.assert_allclose(ours[5:, :5], apart, rtol=1e-6, atol=1e-6)


def test_the_nngp_is_the_covariance_of_outputs_over_random_weights():
    x, module = images(3), models.MLP(1000, width=512)
    output = jax.jit(lambda key: module.init_with_output(key, x)[0])
    outputs = np.stack([output(jax.random.key(seed)) for seed in range(8)])
    covariance = np.einsum("snc,smc->nm", outputs, outputs) / (8 * 1000)
    assert relative_error(covariance, kernels.infinite_gram(module, x, kind="nngp")) < 0.1


@pytest.mark.parametrize(("head", "kind"), list(zip(HEADS, KINDS, strict=True)))
def test_tiles_are_parts_of_the_whole_kernel(head, kind):
    module, x, options = models.ConvNet(3, width=4), images(11), {"head": head, "kind": kind}
    whole = kernels.infinite_gram(module, x, **options)
    pair = infinite_kernels._covariances((6, 6, 2), head) * 4 * infinite_kernels._LIVE_ARRAYS
    options["memory_budget"] = 4 * 4 * pair
    tiled = kernels.infinite_gram(module, x, **options)
    np.testing.assert_allclose(tiled, whole, rtol=1e-4)
    np.testing.assert_array_equal(tiled, tiled.T)
    cross = kernels.infinite_gram(module, x[:7], x[7:], **options)
    np.testing.assert_allclose(cross, whole[:7, 7:], rtol=1e-4)


def test_tiles_are_traced_once_for_all_sizes_of_sets(monkeypatch):
    traces = []

    def counted(module, pooled):
        *rest, kernel_function = twins._mlp(module, pooled)
        return *rest, lambda *arguments: traces.append(None) or kernel_function(*arguments)

    monkeypatch.setitem(kernels.TWINS, models.MLP, counted)
    kernels.infinite_gram(models.MLP(3), images(130))
    kernels.infinite_gram(models.MLP(3), images(70), images(101))
    assert len(traces) == 1


def test_blocks_are_blocks_of_one_gram():
    module, x = models.MLP(3), images(L + U)
    theta = kernels.infinite_gram(module, x)
    blocks = kernels.infinite_blocks(module, x[:L], x[L:])
    np.testing.assert_array_equal(blocks.labeled, theta[:L, :L])
    np.testing.assert_array_equal(blocks.labeled_pool, theta[:L, L:])
    np.testing.assert_array_equal(blocks.labeled_eval, theta[:L, L:])
    np.testing.assert_array_equal(blocks.eval_pool, theta[L:, L:])
    np.testing.assert_array_equal(blocks.pool_diagonal, np.diagonal(theta)[L:])


@pytest.mark.quick
def test_the_head_is_pooled_where_every_pair_of_pixels_is_affordable(caplog):
    assert choose_head(600, None, (8, 8, 1)) == "pooled"
    assert choose_head(600, 600, (8, 8, 1)) == "flattened"
    assert choose_head(4100, None, (28, 28, 1)) == "flattened"
    assert choose_head(10_000, None, (64,)) == "pooled"
    with caplog.at_level("INFO", "ntk_al"):
        kernels.infinite_gram(models.ConvNet(3, width=4), images(2))
    assert "NTK of ConvNet: head pooled, tiles of 2 by 2" in caplog.text


def test_images_that_are_constant_or_equal_give_a_finite_kernel():
    x = images(4)
    x[0], x[1], x[2] = 0, 1, x[3]
    theta = kernels.infinite_gram(models.ConvNet(3, width=4), x)
    assert np.isfinite(theta).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((helpers.TinyNet(), images(2)), {}, "TinyNet has no infinite-width twin; .* ConvNet, MLP"),
        ((models.MLP(3), images(2)), {"head": "max"}, "unknown head 'max'; known: flattened, poo"),
        ((models.MLP(3), images(2)), {"kind": "rbf"}, "unknown kind 'rbf'; known: nngp, ntk"),
        ((models.MLP(3), images(0)), {}, "x1 is empty"),
        ((models.MLP(3), images(2), images(2, size=5)), {}, "x1 holds examples of shape"),
        ((models.MLP(3), images(2) * np.nan), {}, "x1 has .* NaN"),
        (
            (models.ConvNet(3), images(2)),
            {"memory_budget": 10_000, "head": "pooled"},
            "shape .6, 6, 2. takes about 0.0 MiB .* raise memory_budget or take head='flattened'",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        kernels.infinite_gram(*arguments, **options)


def test_the_requirement_is_a_twin_of_the_module_or_of_its_backbone():
    lacking = requirements.NEEDS["infinite_twin"].lacking
    mlp = Network(models.MLP(3), {"params": {}})
    assert lacking(mlp, images(1)) is None
    assert lacking(Network(WithoutBatchNorm(models.ConvNet(3)), {"params": {}}), images(1)) is None
    assert "TinyNet has no infinite-width twin" in lacking(
        Network(helpers.TinyNet(), {"params": {}}), images(1)
    )
