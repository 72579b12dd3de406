from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.harness.cases import CASES
from experiments.benchmarks.peers import __main__ as peers
from experiments.benchmarks.peers import environments, networks, process, worker
from ntk_al import Network, models
from ntk_al.kernels.infinite import neural_tangents_compat

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("name", peers.CASES)
def test_peers_have_the_networks_of_this_package(name, tmp_path):
    neural_tangents_compat.load()
    from experiments.benchmarks.peers import neural_tangents

    case = CASES[name].quick()
    module = models.build(case.model, num_classes=10, width=case.width)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *case.image)), np.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    rng = np.random.default_rng(1)

    def weight(leaf):
        positive = leaf.ndim == 1  # a variance must be
        return np.float32(rng.uniform(0.1 if positive else -0.4, 0.9, leaf.shape))

    network = Network(module, jax.tree.map(weight, shapes))
    path = str(tmp_path / "arrays.npz")
    process.write_arrays(path, network, x)
    task = worker.read_task([case.model, path, "2"])
    assert task.threads == 2
    layers = networks.Layers(neural_tangents.PRIMITIVES, task.params, task.batch_stats)
    logits = networks.NETWORKS[task.model](layers, task.x)
    np.testing.assert_allclose(logits, network.logits(x), rtol=1e-4, equal_nan=False)


def test_a_peer_has_an_environment_a_module_and_implementations():
    assert environments.PINS.keys() == process.IMPLEMENTATIONS.keys()
    folder = pathlib.Path(process.__file__).parent
    assert all((folder / f"{peer}.py").exists() for peer in environments.PINS)


def test_a_worker_needs_neither_jax_nor_this_package():
    code = """
import sys
for name in ("jax", "ntk_al", "absl"):
    sys.modules[name] = None
from experiments.benchmarks.peers import networks, worker
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


ECHO = """
import sys

import numpy as np

from . import worker

task = worker.read_task(sys.argv[1:])
worker.serve({"echo": lambda tile, num: np.full((num, tile), task.x.sum() + task.threads)})
"""


def test_a_process_forms_kernels_until_it_is_left(tmp_path, monkeypatch):
    copy = tmp_path / "copy" / "experiments"
    shutil.copytree(ROOT / "experiments", copy)
    (copy / "benchmarks" / "peers" / "echo.py").write_text(ECHO)
    monkeypatch.setattr(process, "__file__", str(copy / "benchmarks" / "peers" / "process.py"))
    monkeypatch.setitem(process.IMPLEMENTATIONS, "echo", ("echo",))
    arrays, folder = str(tmp_path / "arrays.npz"), str(tmp_path)
    np.savez(arrays, x=np.ones((2, 3)))
    with process.PeerProcess(
        "echo", sys.executable, model="mlp", arrays=arrays, threads=1, folder=folder
    ) as peer:
        for size in (2, 3):
            theta = peer.kernel(peer.implementations[0], size, 3)
            np.testing.assert_array_equal(theta, np.full((3, size), 7))
            assert peer.peak >= 0
        with pytest.raises(RuntimeError, match="a peer has failed"):
            peer.kernel("none", 1, 1)
