"""Random changes of training images that leave their class as it is."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ntk_al.types import Array

Augmentation = Callable[[Array, Array], Array]


def no_augmentation(key: Array, images: Array) -> Array:
    """The images as they are."""
    del key
    return images


def shift(key: Array, images: Array) -> Array:
    """Each image moved by up to an eighth of its height, both ways; zeros come in at the border.

    Images come normalized, so these zeros are the mean of their channel, a gray and not black. The
    same as padding and a random crop: ±1 pixel for 8×8 images, ±3 for 28×28, ±4 for 32×32.
    """
    most = images.shape[1] // 8
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * most + 1)

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)


def shift_and_flip(key: Array, images: Array) -> Array:
    """``shift``, and every second image mirrored left to right on average."""
    shift_key, flip_key = jax.random.split(key)
    mirrored = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
    return shift(shift_key, jnp.where(mirrored, images[:, :, ::-1], images))


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": no_augmentation,
    "shift": shift,
    "shift_flip": shift_and_flip,
}
"""What training does to images. Inputs of the kernel and of predictions are never augmented."""
