"""Where float64 is computed: on the accelerator, or on its host if that is faster.

TPUs have no float64 units, and those of many GPUs do a thirtieth of the work of their float32
units. The dense linear algebra of a query is small beside its kernel, and the host may be the
better place for it.
"""

from __future__ import annotations

import functools
import logging
import time

import jax
import jax.numpy as jnp

from ntk_al._utils import compat

_log = logging.getLogger(__name__)

_SIZE = 1024  # rows of the square matrices whose product is timed
_ROUNDS = 3
_GAIN = 2.0  # the host must be so much faster, because matrices have to travel


@functools.cache
def host() -> jax.Device | None:
    """Returns the device of the host if float64 is better computed there, otherwise ``None``.

    It is measured once in a process, and what was found is logged.
    """
    backend = jax.default_backend()
    if backend == "cpu":
        return None
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the host out
        return None
    if backend == "tpu":
        _log.info("float64 is computed on the host, because TPUs have none")
        return cpu
    accelerator = jax.local_devices()[0]
    ratio = seconds(accelerator) / seconds(cpu)
    where = "the host" if ratio > _GAIN else accelerator
    _log.info(
        "float64 is computed on %s: the host takes %.2g times as long as %s for a product of "
        "matrices of %d rows",
        where,
        1 / ratio,
        accelerator,
        _SIZE,
    )
    return cpu if ratio > _GAIN else None


def seconds(device: jax.Device) -> float:
    """Times the product of two square matrices in float64 on a device; the best of three."""
    with compat.enable_x64(True), jax.default_device(device):
        matrix = jax.device_put(jnp.ones((_SIZE, _SIZE), jnp.float64), device)
        product = jax.jit(jnp.matmul)
        jax.block_until_ready(product(matrix, matrix))
        times = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            jax.block_until_ready(product(matrix, matrix))
            times.append(time.perf_counter() - start)
    return min(times)
