from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from experiments.benchmarks import gram, measuring, peer_worker, peers, race, resident, tiles
from experiments.benchmarks.gram_cases import CASES, Case
from experiments.benchmarks.race import Contestant
from ntk_al import Network, models
from ntk_al.kernels.infinite import neural_tangents_compat


def test_the_quick_race_has_a_row_for_each_contestant_and_floor(tmp_path, capsys):
    case = Case("convnet", 64, (28, 28, 1), 512).quick()
    rows = gram.measure(case, rounds=1, limit=60)
    names = [gram.OURS, gram.PLAIN, *gram.PEERS, "floor, one batch", "floor, best batch"]
    assert [row["contestant"] for row in rows] == names
    assert all(row["seconds"] > 0 for row in rows)
    assert rows[0]["/ ours"] == rows[-2]["/ floor"] == rows[-1]["/ best floor"] == 1
    assert rows[-1]["seconds"] <= rows[-2]["seconds"]

    path = tmp_path / "rows.json"
    race.report(rows, gram.COLUMNS, measuring.machine_facts(), str(path))
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    written = json.loads(path.read_text())
    assert [row["contestant"] for row in written["rows"]] == names
    assert written["machine"]["cores"] >= 1


def theta(n=30):
    rows = np.random.default_rng(0).normal(size=(n, 50))
    return rows @ rows.T


@pytest.mark.parametrize(
    "wrong",
    [theta() * (1 + 1e-4), theta() + np.diag([np.nan, *[0] * 29]), theta()[:, :-1], -theta()],
    ids=["scaled", "NaN", "shape", "negative"],
)
def test_nothing_is_timed_if_a_contestant_is_wrong(wrong):
    calls = []

    def call():
        calls.append(1)
        return wrong

    both = {"plain": Contestant(theta, 30), "wrong": Contestant(call, 30)}
    with pytest.raises(ArithmeticError, match="'wrong'"):
        race.run(both, reference="plain", num_all=30, rounds=3)
    assert len(calls) == 1


def test_a_flipped_relu_is_excepted_and_counted():
    other = theta()
    other[7] += 1e-4 * other.max()
    other[:, 7] = other[7]
    assert race.check_agreement("other", other, theta()) == 1
    assert race.check_agreement("block", theta()[:9, :9], theta()) == 0


def test_what_takes_too_long_is_timed_on_a_block_and_says_so():
    def kernel(tile, num_examples):
        del tile
        return theta()[:num_examples, :num_examples]

    slow = tiles.searched(kernel, [3], 30, limit=0)
    assert (slow.num_examples, slow.tile, slow.scale(30)) == (3, 3, 100)
    rows, _ = race.run(
        {"plain": Contestant(theta, 30), "slow": slow}, reference="plain", num_all=30, rounds=1
    )
    assert rows[1]["note"] == "tile 3, EXTRAPOLATED from N=3"
    assert rows[1]["seconds"] == pytest.approx(100 * rows[1]["rounds"][0])


def test_tiles_divide_n_and_fit_the_memory_budget():
    assert tiles.candidates(4100, (8, 512, tiles.WHOLE), 1, 10**9) == [5, 410, 4100]
    assert tiles.candidates(96, (32, 64, tiles.WHOLE), 10, 960) == [32, 48, 96]
    assert tiles.candidates(96, (32, 64, tiles.WHOLE), 10, 959) == [32]


@pytest.mark.parametrize("name", peers.CASES)
def test_peers_have_the_networks_of_this_package(name, tmp_path, monkeypatch):
    neural_tangents_compat.load()
    from experiments.benchmarks import peer_neural_tangents

    case = CASES[name].quick()
    module = models.build(case.model, num_classes=10, width=case.width)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *case.image)), np.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    rng = np.random.default_rng(1)

    def weight(leaf):
        positive = leaf.ndim == 1  # a variance must be
        return np.float32(rng.uniform(0.1 if positive else -0.4, 0.9, leaf.shape))

    network = Network(module, jax.tree.map(weight, shapes))
    path = str(tmp_path / "problem.npz")
    peers.write_problem(path, network, x)
    monkeypatch.setattr("sys.argv", ["worker", case.model, path, "2"])
    problem = peer_worker.read_problem()
    layers = peer_worker.Layers(
        peer_neural_tangents.PRIMITIVES, problem.params, problem.batch_stats
    )
    logits = peer_worker.NETWORKS[problem.model](layers, problem.x)
    np.testing.assert_allclose(logits, network.logits(x), rtol=1e-4, equal_nan=False)


def test_memory_that_a_call_takes_for_a_while_is_seen():
    assert resident.added_by(lambda: np.ones(2**23).sum()) >= 0.9 * 2**26  # Linux counts in batches


@pytest.mark.parametrize("module", [gram, peers])
def test_flags_are_defined_once_and_cases_are_checked(module):
    values = flags.FlagValues()
    module.define(values)
    values(["", "--cases=resnet18", "--rounds=5"])
    assert (values.cases, values.rounds) == (["resnet18"], 5)
    with pytest.raises(flags.IllegalFlagValueError, match="known cases"):
        values(["", "--cases=vgg"])
