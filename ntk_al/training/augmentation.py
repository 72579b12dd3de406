"""Random changes of training images that do not change their class."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al.types import Array

Augmentation = Callable[[Array, Array], Array]
"""A function from a PRNG key and images ``[N, H, W, channels]`` to images of the same shape."""


def no_augmentation(key: Array, images: Array) -> Array:
    """Returns the images unchanged."""
    del key
    return images


def shift(key: Array, images: Array) -> Array:
    """Shifts each image horizontally and vertically by up to an eighth of its height.

    This is the same as padding with zeros and cropping at random: by ±1 pixel for 8×8 images, ±3
    for 28×28 and ±4 for 32×32. Images are normalized, so the zeros are the mean of their channel,
    which is gray rather than black.
    """
    most = images.shape[1] // 8
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * most + 1)

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)


def shift_and_flip(key: Array, images: Array) -> Array:
    """Mirrors each image left to right with probability 1/2, then applies ``shift``."""
    shift_key, flip_key = jax.random.split(key)
    mirrored = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
    return shift(shift_key, jnp.where(mirrored, images[:, :, ::-1], images))


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": no_augmentation,
    "shift": shift,
    "shift_flip": shift_and_flip,
}
"""Augmentations by name. Only training uses them; the kernel and predictions never do."""
