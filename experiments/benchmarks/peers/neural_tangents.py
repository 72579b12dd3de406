"""Runs neural-tangents under a version of JAX from its time; ``peers`` starts this program."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from . import networks, worker

# This subpackage would import TensorFlow and is not needed here.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
import neural_tangents as nt  # noqa: E402

IMPLEMENTATIONS = ("JACOBIAN_CONTRACTION", "STRUCTURED_DERIVATIVES", "NTK_VECTOR_PRODUCTS")


def _conv(x: Any, kernel: Any, stride: int) -> Any:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _batch_norm(x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return (x - mean) * (lax.rsqrt(var + 1e-5) * scale) + bias


PRIMITIVES = networks.Primitives(_conv, _batch_norm, jax.nn.relu, lambda x: x.mean((1, 2)))


def main() -> None:
    """Reads the task and serves the kernel of each implementation."""
    task = worker.read_task(sys.argv[1:])
    network = networks.NETWORKS[task.model]
    params, batch_stats, x = jax.device_put((task.params, task.batch_stats, task.x))

    def first_logit(params: Any, x: Any) -> Any:
        return network(networks.Layers(PRIMITIVES, params, batch_stats), x)[:, :1]

    @functools.cache
    def compiled(implementation: str, tile: int) -> Callable[..., Any]:
        kernel = nt.empirical_ntk_fn(
            first_logit,
            trace_axes=(-1,),
            vmap_axes=0,
            implementation=nt.NtkImplementation[implementation],
        )
        # A tile of all examples is not batched, so that its Jacobian is formed once, not twice.
        return nt.batch(kernel, 0 if tile == len(x) else tile, device_count=0)

    def kernel(implementation: str, tile: int, num_examples: int) -> np.ndarray:
        return np.asarray(compiled(implementation, tile)(x[:num_examples], None, params))

    worker.serve(
        {f"neural-tangents {name}": functools.partial(kernel, name) for name in IMPLEMENTATIONS}
    )


if __name__ == "__main__":
    main()
