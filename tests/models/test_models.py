from __future__ import annotations

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from ntk_al import models
from ntk_al.models import MODELS, ResNet18, WideResNet
from tests import helpers
from tests.kernels.empirical.exactness import random_values


@functools.cache
def initialized(name):
    """The variables of a tiny model, drawn by NumPy: nothing is compiled for them."""
    shapes = jax.eval_shape(
        helpers.tiny_model(name).init, jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32)
    )
    statistics = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.full(leaf.shape, path[-1].key == "var", leaf.dtype),
        shapes.get("batch_stats", {}),
    )
    return {"params": random_values.parameters(shapes["params"]), "batch_stats": statistics}


def num_parameters(module, shape):
    variables = jax.eval_shape(module.init, jax.random.key(0), np.zeros(shape, np.float32))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.quick
def test_resnet18_has_the_published_number_of_parameters():
    assert num_parameters(ResNet18(num_classes=10), (1, 32, 32, 3)) == 11_173_962


@pytest.mark.quick
def test_wide_resnet_16_4_has_the_published_number_of_parameters():
    """WRN-16-4 has widths 64, 128, 256; the authors report 2.7 million parameters (Table 4)."""
    assert num_parameters(WideResNet(10, blocks=2, width=256), (1, 32, 32, 3)) == 2_748_890


@pytest.mark.parametrize("name", MODELS)
def test_a_model_maps_images_to_logits_in_both_modes(name):
    module = helpers.tiny_model(name, 7)
    x = np.ones((2, 8, 8, 1), np.float32)

    def both_modes(key):
        variables = module.init(key, x)
        logits, _ = module.apply(variables, x, train=True, mutable=["batch_stats"])
        return module.apply(variables, x, train=False), logits

    for logits in jax.eval_shape(both_modes, jax.random.key(0)):
        assert logits.shape == (2, 7)


@pytest.mark.parametrize("name", MODELS)
def test_an_output_in_inference_does_not_depend_on_the_batch(name):
    module = helpers.tiny_model(name)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    infer, variables = jax.jit(functools.partial(module.apply, train=False)), initialized(name)
    together, alone = infer(variables, x), infer(variables, np.repeat(x[2:3], 4, axis=0))
    np.testing.assert_allclose(together[2], alone[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet", "convnet"])
def test_batchnorm_forgets_fast_enough_for_a_small_labeled_set(name):
    """After 50 steps on one batch the running statistics are those of the batch."""
    module = helpers.tiny_model(name)
    x = 3 + np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype(np.float32)
    variables = initialized(name)
    step = jax.jit(lambda v: {**v, **module.apply(v, x, train=True, mutable=["batch_stats"])[1]})
    for _ in range(50):
        variables = step(variables)
    settled = step(variables)
    for old, new in zip(*map(jax.tree.leaves, (variables, settled)), strict=True):
        np.testing.assert_allclose(old, new, rtol=0.02, atol=1e-3)


def test_wide_resnet_counts_blocks_per_stage_and_maximum_width():
    module = WideResNet(num_classes=4, blocks=2, width=16)
    x = np.zeros((1, 8, 8, 1), np.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    kernels = [
        leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(variables["params"])
        if leaf.ndim == 4 and leaf.shape[0] == 3
    ]  # fmt: skip
    assert len(kernels) == 1 + 3 * 2 * 2
    assert max(shape[-1] for shape in kernels) == 16


def test_a_width_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="multiple of 4, got 10"):
        WideResNet(3, width=10).init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))


@pytest.mark.quick
def test_unknown_models_and_options_list_the_known_ones():
    with pytest.raises(ValueError, match="known: " + ", ".join(sorted(MODELS))):
        models.build("vgg", 10)
    with pytest.raises(
        ValueError, match="'resnet18' has no option 'blocks'; its options: dropout, width"
    ):
        models.build("resnet18", 10, blocks=2)
    with pytest.raises(ValueError, match="width must be"):
        models.build("mlp", 10, width=0)


@pytest.mark.quick
def test_every_model_is_a_linen_module():
    assert all(issubclass(model, nn.Module) for model in MODELS.values())
