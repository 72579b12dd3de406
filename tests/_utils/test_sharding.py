"""The same scores on one device, on eight, and in two processes of one program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ntk_al import Network, kernels, lookahead
from ntk_al._utils import sharding
from tests import cases, helpers
from tests.network import libraries
from tests.paths import ROOT

PROGRAM = """
import sys

import jax

rank, num_processes, address, output = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
if num_processes > 1:
    jax.distributed.initialize(address, num_processes, rank)

import numpy as np

from ntk_al import kernels, lookahead
from tests import helpers
from tests._utils import test_sharding

assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("pool",))
results = test_sharding.results(mesh)
if num_processes == 1:
    test_sharding.take_inputs_that_devices_share(mesh)
if rank == 0:
    np.savez(output, **results)
"""


def results(mesh=None):
    """A kernel, and scores with the pool, and with other points, as evaluation set."""
    net = helpers.network()
    labeled = helpers.images(5), helpers.labels(5)
    pool, evaluation = helpers.images(21, seed=1), helpers.images(6, seed=2)
    theta = kernels.gram(net, pool, mesh=mesh)
    if mesh is not None:
        from ntk_al._utils import sharding

        theta = sharding.everywhere(mesh)(theta)
    return {
        "theta": theta,
        **{
            f"{criterion} {'pool' if x_eval is None else 'evaluation set'}": np.asarray(
                lookahead.score(
                    net,
                    *labeled,
                    pool,
                    criterion=criterion,
                    x_eval=x_eval,
                    mesh=mesh,
                    predictive="softmax",  # compiles in less time than a fitted temperature
                )
            )
            for criterion in ("mlmoc", "eer")
            for x_eval in (None, evaluation)
        },
    }


def take_inputs_that_devices_share(mesh):
    """Scores are the same if the labeled set is divided among the devices; jit is refused."""
    net, pool = helpers.network(), helpers.images(21, seed=1)
    labeled = helpers.images(8, seed=3), helpers.labels(8, seed=3)
    shared = jax.device_put(labeled, NamedSharding(mesh, P("pool")))
    scores = lookahead.score(net, *shared, pool, mesh=mesh)
    np.testing.assert_allclose(scores, lookahead.score(net, *labeled, pool), rtol=1e-4)
    with pytest.raises(TypeError, match="cannot be jitted with several devices"):
        jax.jit(lambda x: lookahead.score(net, *labeled, x, mesh=mesh))(pool)


@pytest.fixture(scope="module")
def on_one_device():
    return results()


@pytest.mark.parametrize("num_processes", [cases.thorough(1), 2])
def test_scores_on_eight_devices_are_those_on_one(num_processes, on_one_device, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")
        + f" --xla_force_host_platform_device_count={8 // num_processes}",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", PROGRAM]
    output = tmp_path / "results.npz"
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(num_processes), address, str(output)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(num_processes)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * num_processes, errors
    shared = np.load(output)
    assert set(shared) == set(on_one_device)
    for name, values in on_one_device.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(shared[name], values, rtol=1e-5, atol=1e-5 * scale, err_msg=name)


def test_a_program_for_devices_of_a_cpu_has_ended_before_the_next_one_starts():
    """Otherwise queued programs can keep a late device from those that wait for it."""
    mesh = jax.make_mesh((1,), ("pool",))
    x = jax.numpy.ones((1500, 1500))
    program = jax.jit(lambda x: jax.lax.fori_loop(0, 5, lambda _, y: y @ x, x))
    program(x).block_until_ready()
    assert not sharding.settled(None, program(x)).is_ready()
    assert sharding.settled(mesh, program(x)).is_ready()


def test_a_mesh_with_another_axis_is_refused():
    mesh = jax.make_mesh((1,), ("batch",))
    with pytest.raises(ValueError, match="must have the one axis 'pool'"):
        kernels.gram(helpers.network(), helpers.images(3), mesh=mesh)
    with pytest.raises(TypeError, match=r"must be a jax.sharding.Mesh, got int; make it with"):
        kernels.gram(helpers.network(), helpers.images(3), mesh=3)


@pytest.mark.quick
def test_networks_with_keys_and_python_numbers_are_replicated():
    mesh = jax.make_mesh((1,), ("pool",))
    params = {**libraries.weights(), "power": 2, "scale": 0.5}
    nets = [
        Network.from_nnx(libraries.NoisyNnx()),
        Network.from_function(
            lambda p, x: p["scale"] * libraries.apply(p, x) ** p["power"], params
        ),
    ]
    x = libraries.inputs()
    for net in nets:
        theta = kernels.gram(net, x)
        np.testing.assert_allclose(kernels.gram(net, x, mesh=mesh), theta, rtol=1e-5)
