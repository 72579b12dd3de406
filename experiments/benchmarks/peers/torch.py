"""Runs torch.func: Jacobian rows by vmap(grad), then products; ``peers`` starts this program."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from torch.nn import functional  # type: ignore[import-not-found, unused-ignore]

from . import networks, worker


def _conv(x: Any, kernel: Any, stride: int) -> Any:
    (top, bottom), (left, right) = (
        _same_padding(x.shape[axis], kernel.shape[axis], stride) for axis in (2, 3)
    )
    if (top, left) == (bottom, right):
        return functional.conv2d(x, kernel, stride=stride, padding=(top, left))
    x = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(x, kernel, stride=stride)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Computes JAX's "SAME" padding before and after, which can be asymmetric with a stride."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _batch_norm(x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return functional.batch_norm(x, mean, var, scale, bias, eps=1e-5)


PRIMITIVES = networks.Primitives(_conv, _batch_norm, functional.relu, lambda x: x.mean((2, 3)))


def main() -> None:
    """Reads the task and serves the kernel."""
    task = worker.read_task(sys.argv[1:])
    torch.set_num_threads(task.threads)
    network = networks.NETWORKS[task.model]
    batch_stats = {name: torch.from_numpy(leaf) for name, leaf in task.batch_stats.items()}
    params = {name: _to_torch(leaf) for name, leaf in task.params.items()}
    x = torch.from_numpy(task.x).permute(0, 3, 1, 2).contiguous()

    def first_logit(params: dict[str, Any], image: Any) -> Any:
        return network(networks.Layers(PRIMITIVES, params, batch_stats), image[None])[0, 0]

    gradients = torch.func.vmap(torch.func.grad(first_logit), in_dims=(None, 0))

    def kernel(batch_size: int, num_examples: int) -> np.ndarray:
        starts = range(0, num_examples, batch_size)
        batches = [gradients(params, x[i : min(i + batch_size, num_examples)]) for i in starts]
        theta = torch.zeros(num_examples, num_examples)
        for name in params:  # one leaf at a time, because joining all rows would copy them
            rows = torch.cat([batch.pop(name).flatten(1) for batch in batches])
            theta += rows @ rows.T
        return theta.numpy()

    worker.serve({"torch.func": kernel})


def _to_torch(leaf: np.ndarray) -> Any:
    """Converts a weight; the axes of a convolution's kernel get the order of PyTorch."""
    tensor = torch.from_numpy(leaf)
    return tensor.permute(3, 2, 0, 1).contiguous() if leaf.ndim == 4 else tensor


if __name__ == "__main__":
    main()
