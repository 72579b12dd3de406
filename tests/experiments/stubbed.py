"""``python -m tests.experiments.stubbed FLAGS``: the command, but nothing is trained.

A cycle takes the seconds of the environment's ``PAUSE``, and everything around it is real.
"""

from __future__ import annotations

import os
import runpy
import sys
import time

import numpy as np

SETTINGS = {
    "model": "mlp",
    "augmentation": "none",
    "width": 4,
    "init_size": 5,
    "query_size": 2,
    "subset_size": 8,
    "cycles": 5,
    "strategy": "random",
}


def dataset(folder):
    """Writes a dataset that takes no time to read."""
    x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 3
    path = os.path.join(folder, "tiny.npz")
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return path


def flags(**changes):
    return [f"--{name}={value}" for name, value in {**SETTINGS, **changes}.items()]


def fit(key, network, *_, **__):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return network, 0.5


def stub():
    from ntk_al import training

    training.fit, training.accuracy = fit, lambda *_: 0.5


def main(arguments):
    sys.argv = ["ntk-al", *arguments]
    runpy.run_module("experiments.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    stub()
    main(sys.argv[1:])
