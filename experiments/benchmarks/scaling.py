"""Weak scaling: what each device does as devices and candidates grow together.

    python -m experiments.benchmarks.scaling                        # minutes on a CPU
    python -m experiments.benchmarks.scaling --approximation=landmarks
    python -m experiments.benchmarks.scaling --quick                # a minute

The devices are simulated ones of the CPU. Their times mean nothing; what each of them computes,
reads and receives is what as many real devices would. Evaluation points and labels are the same in
all rows, so that the work for each candidate is, too: with perfect scaling, a row has the numbers
of the first one. Network and images are random; operations do not depend on values.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
from absl import flags
from absl.flags import FlagValues

from ntk_al import lookahead, models, training

from .harness import entry, operations

COLUMNS = ("devices", "candidates", "Gflop", "relative", "GiB accessed", "MiB received")
_NUM_CLASSES = 10


def measure(values: FlagValues) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measures the rows of the table; also returns facts about the problem."""
    rows: list[dict[str, Any]] = []
    for devices in sorted(int(text) for text in values.devices):
        rows.append(row(values, devices))
        rows[-1]["relative"] = rows[-1]["Gflop"] / rows[0]["Gflop"]
    names = ("model", "width", "side", "num_labeled", "num_eval", "per_device", "approximation")
    return rows, {name: values[name].value for name in names}


def row(values: FlagValues, devices: int) -> dict[str, Any]:
    """Counts what one of several devices does for one query."""
    if jax.device_count() < devices:
        raise ValueError(f"{devices} devices are needed, this process has {jax.device_count()}")
    mesh = jax.make_mesh((devices,), ("pool",), devices=jax.devices()[:devices])
    rng = np.random.default_rng(values.seed)
    num = devices * values.per_device
    shape = (values.side, values.side, 1)
    labeled, points, pool = (
        rng.normal(size=(size, *shape)).astype(np.float32)
        for size in (values.num_labeled, values.num_eval, num)
    )
    y = rng.integers(0, _NUM_CLASSES, values.num_labeled).astype(np.int32)
    module = models.build(values.model, _NUM_CLASSES, width=values.width)
    network = training.initialize(jax.random.key(values.seed), module, labeled[:2])
    with operations.counted() as found:
        lookahead.score(
            network,
            labeled,
            y,
            pool,
            x_eval=points,
            mesh=mesh,
            approximation=values.approximation,
            rank=values.rank,
            reference="linearized",  # an untrained network has large residuals
            predictive="softmax",
        )
    return {
        "devices": devices,
        "candidates": num,
        "Gflop": sum(found.flops.values()) / 1e9,
        "GiB accessed": sum(found.accessed.values()) / 2**30,
        "MiB received": sum(found.received.values()) / 2**20,
        "by program": {
            name: {
                "Gflop": found.flops[name] / 1e9,
                "GiB accessed": found.accessed[name] / 2**30,
                "MiB received": found.received[name] / 2**20,
            }
            for name in sorted(found.flops)
        },
    }


def define_flags(values: FlagValues) -> None:
    """Defines the benchmark's own flags."""
    flags.DEFINE_list("devices", ["1", "2", "4", "8"], "Numbers of devices.", flag_values=values)
    flags.DEFINE_string("model", "wide_resnet", "The network.", flag_values=values)
    flags.DEFINE_integer("width", 64, "Its width.", 1, flag_values=values)
    flags.DEFINE_integer("side", 28, "Height and width of an image.", 1, flag_values=values)
    flags.DEFINE_integer("num_labeled", 100, "L.", 1, flag_values=values)
    flags.DEFINE_integer("num_eval", 256, "The number of evaluation points.", 1, flag_values=values)
    flags.DEFINE_integer("per_device", 256, "Candidates for each device.", 1, flag_values=values)
    flags.DEFINE_string("approximation", "none", "none | landmarks.", flag_values=values)
    flags.DEFINE_integer("rank", None, "The number of landmarks.", 1, flag_values=values)


QUICK = {
    "devices": ["2", "4"],
    "model": "mlp",
    "width": 8,
    "side": 4,
    "num_labeled": 20,
    "num_eval": 128,
    "per_device": 128,
}
BENCHMARK = entry.Benchmark(measure, COLUMNS, define_flags, quick=QUICK, rounds=1)


def main() -> None:
    """Runs the benchmark with eight devices, in a process of its own if this one has fewer."""
    flag = "--xla_force_host_platform_device_count="
    if flag in os.environ.get("XLA_FLAGS", ""):
        entry.main(BENCHMARK)
        return
    given = os.environ.get("XLA_FLAGS", "")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{given} {flag}8"}
    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:]]
    sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()
