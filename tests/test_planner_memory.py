"""What the planner predicts is what a fresh process takes."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging, resource, sys

import jax
import numpy as np

from ntk_al import kernels, models, training


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


x = np.random.default_rng(0).normal(size=(int(sys.argv[1]), 14, 14, 1)).astype(np.float32)
net = training.initialise(jax.random.key(0), models.build("wide_resnet", 10, width=64), x)
kernels.gram(net, x[:32], memory_budget=2**30).block_until_ready()  # compiles most of it
messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logger = logging.getLogger("ntk_al.kernels.engine")
logger.addHandler(handler)
logger.setLevel("INFO")
before = resident()
kernels.gram(net, x, memory_budget=int(sys.argv[2]) * 2**20).block_until_ready()
print(messages[-1].split("peak ")[1].split(" MiB")[0], resident() - before)
"""


def test_measured_peak_is_not_far_above_the_prediction():
    budget = 220  # MiB; too little for all layers at once
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, "2048", str(budget)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    predicted, measured = map(float, output.split())
    assert predicted <= budget
    assert measured <= 1.25 * predicted
