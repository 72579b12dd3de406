"""The infinite-width twin of each model, built from neural-tangents' stax layers.

A twin has the layers and widths of its finite network in the "standard" parameterization
(Sohl-Dickstein et al. 2020, arXiv:2001.07301). Each layer's part of the tangent kernel is scaled by
its fan-in, as in a network whose weights are trained without rescaling. As all hidden widths grow,
the empirical kernel of the finite network at initialization tends to the kernel of the twin,
relative to its size.

A twin differs from its network in four ways:

- stax has no BatchNorm, so a twin has none. At initialization and in inference mode, BatchNorm is
  the identity, so the limit is that of the network without the parameters of BatchNorm.
- ``ResNet18`` adds a shortcut to its blocks after a ReLU. In the limit, such a sum is not Gaussian
  and has no closed-form kernel, so the twin uses the same layers in pre-activation form (He et al.
  2016, arXiv:1603.05027). ``WideResNet`` already has this form.
- The head is either global average pooling (``pooled``) or flattening. The pooled kernel needs the
  covariance of every pair of pixels, (H·W)² numbers for a pair of images. Flattening needs only
  H·W, but it is the head of a different network.
- Weights are Gaussian. Flax truncates its normal distribution at two standard deviations, and
  widens it to keep the variance. This can make a difference only in a first layer with few inputs.

To add a twin, build it from the functions below and add a row to ``TWINS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ntk_al.kernels.infinite import neural_tangents_compat
from ntk_al.models import MLP, ConvNet, ResNet18, WideResNet
from ntk_al.types import Array

Layer = Any
"""A stax layer: its functions ``(init_fn, apply_fn, kernel_fn)``."""

Twin = Callable[[Any, bool], Layer]
"""A function from the finite module, and whether the head is pooled, to the infinite network."""

HE_NORMAL = 2.0
LECUN_NORMAL = 1.0

# arccos(x) / √(1 − x) on [0, 1], highest power first: Abramowitz and Stegun, 4.4.46.
_ARCCOS = (
    -0.0012624911,
    0.0066700901,
    -0.0170881256,
    0.0308918810,
    -0.0501743046,
    0.0889789874,
    -0.2145988016,
    1.5707963050,
)


def convolution(
    features: int,
    size: int = 3,
    stride: int = 1,
    *,
    variance: float = HE_NORMAL,
    bias: bool = False,
) -> Layer:
    """A square convolution with padding SAME.

    Args:
      features: output channels of the finite layer.
      size: side of the window.
      stride: the stride in both directions.
      variance: the variance of a weight times the fan-in: ``HE_NORMAL`` or ``LECUN_NORMAL``.
      bias: whether the layer has a bias, which is zero at initialization.
    """
    return _stax().Conv(
        features,
        (size, size),
        (stride, stride),
        padding="SAME",
        W_std=math.sqrt(variance),
        b_std=_bias(bias),
        parameterization="standard",
    )


def dense(features: int, *, variance: float = LECUN_NORMAL, bias: bool = True) -> Layer:
    """A fully connected layer; the arguments are those of ``convolution``."""
    return _stax().Dense(
        features, W_std=math.sqrt(variance), b_std=_bias(bias), parameterization="standard"
    )


def relu() -> Layer:
    """A ReLU with the kernels of Cho and Saul (2009, "Kernel methods for deep learning").

    The ReLU of stax has the same kernels, but on CPUs its arctan2 took two thirds of the time.
    """
    return _stax().Elementwise(nn.relu, _relu_covariance, _relu_derivative)


def serial(*layers: Layer) -> Layer:
    """Composes layers, the first one first."""
    return _stax().serial(*layers)


def flatten() -> Layer:
    """``[N, ...]`` to ``[N, D]``."""
    return _stax().Flatten()


def pre_activation_block(features_in: int, features: int, stride: int = 1) -> Layer:
    """The sum x + conv(relu(conv(relu(x)))); a 1×1 convolution of relu(x) if shapes differ."""
    stax = _stax()
    branch = serial(convolution(features, stride=stride), relu(), convolution(features))
    if features_in == features and stride == 1:
        branches = stax.parallel(serial(relu(), branch), stax.Identity())
        return serial(stax.FanOut(2), branches, stax.FanInSum())
    branches = stax.parallel(branch, convolution(features, size=1, stride=stride))
    return serial(relu(), stax.FanOut(2), branches, stax.FanInSum())


def head(num_classes: int, pooled: bool) -> Layer:
    """Global average pooling or flattening, followed by the last Dense layer."""
    return serial(_stax().GlobalAvgPool() if pooled else flatten(), dense(num_classes))


def _convnet(module: ConvNet, pooled: bool) -> Layer:
    layers = []
    for features, stride in ((max(1, module.width // 2), 1), (module.width, 2), (module.width, 2)):
        layers += [convolution(features, stride=stride), relu()]
    return serial(*layers, head(module.num_classes, pooled))


def _mlp(module: MLP, pooled: bool) -> Layer:
    del pooled  # an MLP has no pixels
    hidden = [layer for _ in range(module.blocks) for layer in (_hidden(module.width), relu())]
    return serial(flatten(), *hidden, dense(module.num_classes))


def _hidden(features: int) -> Layer:
    return dense(features, variance=HE_NORMAL)


def _resnet18(module: ResNet18, pooled: bool) -> Layer:
    widths = [module.width * 2**stage for stage in range(4)]
    return _residual(module.width, widths, 2, module, pooled)


def _wide_resnet(module: WideResNet, pooled: bool) -> Layer:
    widths = [module.width // 2 ** (module.stages - 1 - stage) for stage in range(module.stages)]
    return _residual(16, widths, module.blocks, module, pooled)


def _residual(stem: int, widths: list[int], blocks: int, module: Any, pooled: bool) -> Layer:
    """A stem, then stages of pre-activation blocks; stages after the first start with stride 2."""
    layers, channels = [convolution(stem)], stem
    for stage, features in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(pre_activation_block(channels, features, stride))
            channels = features
    return serial(*layers, relu(), head(module.num_classes, pooled))


def _relu_covariance(covariance: Array, variance1: Array, variance2: Array) -> Array:
    """E relu(a) relu(b) for Gaussian (a, b) of mean zero: (sin φ + (π − φ) cos φ) σ_a σ_b / 2π."""
    angle, sine = _angle(covariance, variance1, variance2)
    root = jnp.sqrt(variance1 * variance2)
    return (root * sine + (math.pi - angle) * covariance) / (2 * math.pi)


def _relu_derivative(covariance: Array, variance1: Array, variance2: Array) -> Array:
    """E relu'(a) relu'(b) = (π − φ) / 2π."""
    angle, _ = _angle(covariance, variance1, variance2)
    return (math.pi - angle) / (2 * math.pi)


def _angle(covariance: Array, variance1: Array, variance2: Array) -> tuple[Array, Array]:
    """φ = arccos of the correlation, to 2e-8, and sin φ; π/2 where a variance is zero."""
    product = variance1 * variance2
    positive = product > 0
    cosine = jnp.where(positive, covariance * jax.lax.rsqrt(jnp.where(positive, product, 1)), 0)
    size = jnp.minimum(jnp.abs(cosine), 1)
    angle = jnp.sqrt(1 - size) * jnp.polyval(jnp.asarray(_ARCCOS, size.dtype), size)
    return jnp.where(cosine < 0, math.pi - angle, angle), jnp.sqrt((1 - size) * (1 + size))


def _stax() -> Any:
    return neural_tangents_compat.load().stax


def _bias(bias: bool) -> float | None:
    # A variance of zero still makes the bias a trained parameter; None would remove it.
    return 0.0 if bias else None


TWINS: dict[type[nn.Module], Twin] = {
    ConvNet: _convnet,
    MLP: _mlp,
    ResNet18: _resnet18,
    WideResNet: _wide_resnet,
}


def find(module: nn.Module) -> tuple[nn.Module, Twin]:
    """Finds the twin of a module.

    A module that wraps another one in its field ``backbone`` has the twin of the wrapped module.

    Returns:
      The module that ``TWINS`` has a row for, and its twin.

    Raises:
      ValueError: if there is no twin; the message lists the modules that have one.
    """
    for candidate in (module, getattr(module, "backbone", None)):
        if isinstance(candidate, nn.Module) and type(candidate) in TWINS:
            return candidate, TWINS[type(candidate)]
    known = ", ".join(sorted(kind.__name__ for kind in TWINS))
    raise ValueError(
        f"the network {type(module).__name__} has no infinite-width twin; these have one: {known}. "
        "To add a twin, add a row to TWINS in ntk_al/kernels/infinite/twins.py."
    )
