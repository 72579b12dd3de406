"""Float64 on the host, where an accelerator has none or a slow one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from ntk_al import kernels, lookahead, posterior
from ntk_al._utils import float64, float64_device
from ntk_al.acquisition import STRATEGIES
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from tests import cases, helpers
from tests.acquisition.test_conformance import KEY, candidates
from tests.paths import ROOT

PROGRAM = """
import sys

import jax
import numpy as np

from ntk_al._utils import float64_device
from tests._utils import test_float64

accelerator, host = jax.devices()
if sys.argv[2] == "host":
    float64_device.host = lambda: host
np.savez(sys.argv[1], **test_float64.results(accelerator, sys.argv[3]))
"""
CRITERIA = {"one of each kind": ("mlmoc", "brier", "flips"), "all": tuple(LABEL_CRITERIA)}
WITH_A_POSTERIOR = {
    "one of each kind": ("ev_gp", "last_layer", "gp"),
    "all": ("mlmoc", "flips", "residual", "ev_gp", "last_layer", "gp", "infinite_ntk"),
}


def results(accelerator, which):
    """What is computed in float64, from inputs that are bound to a device."""
    bound = jax.device_put(
        (
            helpers.network(),
            helpers.images(5),
            helpers.labels(5),
            helpers.images(7, seed=1),
            helpers.images(4, seed=2),
        ),
        accelerator,
    )
    network, *given, points = bound
    found = {
        f"{criterion}, {x_eval is None}": lookahead.score(
            *bound[:4], criterion=criterion, x_eval=x_eval
        )
        for criterion in CRITERIA[which]
        for x_eval in (None, points)
    }
    found["all logits"] = lookahead.score(*bound[:4], readout="all_logits")
    found["greedy"] = lookahead.select(*bound[:4], 3, batch_mode="greedy").rows
    blocks = kernels.blocks(network, given[0], given[2])
    residual = jax.nn.one_hot(given[1], 3) - network.predict(given[0])
    belief = posterior.condition(blocks, residual, network.predict(given[2]))
    for row in (2, 4):
        belief = belief.observe(row, 1, move_network=row == 4)
    found["observed"] = lookahead.score_posterior(belief)
    found["mean"] = belief.mean
    wide = float64_device.host() or accelerator
    assert belief.mean.devices() == belief.covariance.devices() == {wide}
    for name in WITH_A_POSTERIOR[which]:
        found[name] = STRATEGIES[name](KEY, candidates(), 2).utilities
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize("which", ["one of each kind", cases.thorough("all")])
def test_float64_on_the_host_gives_the_same_numbers(which, tmp_path):
    found = {}
    for where in ("host", "accelerator"):
        output = str(tmp_path / f"{where}.npz")
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, output, where, which],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found[where] = np.load(output)
    assert set(found["host"]) == set(found["accelerator"])
    for name in found["host"]:
        np.testing.assert_array_equal(found["host"][name], found["accelerator"][name], name)


@pytest.mark.parametrize(
    ("backend", "seconds", "on_host"),
    [
        ("tpu", {}, True),
        ("gpu", {"gpu": 8.0, "cpu": 1.0}, True),
        ("gpu", {"gpu": 1.5, "cpu": 1.0}, False),
    ],
)
def test_the_host_computes_float64_where_the_device_has_none_or_is_slower(
    backend, seconds, on_host, monkeypatch, caplog
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: [backend or "gpu"])
    monkeypatch.setattr(float64_device, "seconds", seconds.__getitem__)
    float64_device.host.cache_clear()
    with caplog.at_level(logging.INFO):
        assert float64_device.host() == ("cpu" if on_host else None)
    float64_device.host.cache_clear()
    assert f"float64 is computed on {'the host' if on_host else 'gpu'}" in caplog.text


def test_a_cpu_is_its_own_host_and_is_timed_like_any_device():
    assert float64_device.host() is None
    assert float64_device.seconds(jax.devices()[0]) > 0
    with float64.widest(np.ones(2)) as dtype:
        assert dtype == np.float64
