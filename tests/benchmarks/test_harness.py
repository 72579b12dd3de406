from __future__ import annotations

import json

import numpy as np
import pytest
from absl import app, flags

from experiments.benchmarks import (
    accelerator,
    approximations,
    gram,
    landmarks,
    look_ahead,
    pools,
    query,
)
from experiments.benchmarks.harness import (
    agreement,
    entry,
    memory,
    problem,
    protocol,
    race,
    tiles,
    timing,
)
from experiments.benchmarks.harness.race import Contestant
from experiments.benchmarks.peers import __main__ as peers

BENCHMARKS = [accelerator, approximations, gram, landmarks, look_ahead, peers, pools, query]


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


@pytest.mark.quick
def test_a_flipped_relu_is_excepted_and_counted():
    other = theta()
    other[7] += 1e-4 * other.max()
    other[:, 7] = other[7]
    assert agreement.check_kernel("other", other, theta()) == 1
    assert agreement.check_kernel("block", theta()[:9, :9], theta()) == 0


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


@pytest.mark.quick
def test_tiles_divide_n_and_fit_the_memory_budget():
    assert tiles.candidates(4100, (8, 512, tiles.WHOLE), 1, 10**9) == [5, 410, 4100]
    assert tiles.candidates(96, (32, 64, tiles.WHOLE), 10, 960) == [32, 48, 96]
    assert tiles.candidates(96, (32, 64, tiles.WHOLE), 10, 959) == [32]


def test_contestants_take_turns_and_each_round_begins_with_another():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = timing.interleave(calls, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert all(len(values) == 3 for values in seconds.values())


def test_memory_that_a_call_takes_for_a_while_is_seen():
    assert memory.added_by(lambda: np.ones(2**23).sum()) >= 0.9 * 2**26  # Linux counts in batches


def test_a_fresh_process_that_fails_shows_why():
    with pytest.raises(RuntimeError, match="No module named"):
        memory.of_fresh_process("experiments.benchmarks.none", ["--quick"])


@pytest.mark.parametrize("wrong", [1 + 2e-4, np.nan])
def test_scores_that_differ_from_their_reference_are_refused(wrong):
    reference = np.array([1.0, 2.0, 3.0])
    right = agreement.check_scores(reference * (1 + 5e-5), reference, 1e-4)
    assert right == pytest.approx(5e-5)
    with pytest.raises(ArithmeticError, match="differ from their reference"):
        agreement.check_scores(reference * [1, wrong, 1], reference, 1e-4)


@pytest.mark.quick
def test_rank_correlation_is_that_of_mean_ranks():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30), rng.normal(size=30)

    def ranks(values):
        return [(np.sum(values < v) + np.sum(values <= v) + 1) / 2 for v in values]

    assert agreement.spearman(a, b) == pytest.approx(np.corrcoef(ranks(a), ranks(b))[0, 1])


def test_the_shared_top_counts_what_both_put_there():
    assert agreement.shared_top([5, 4, 3, 2, 1], [5, 1, 4, 2, 3], 2) == 0.5
    assert agreement.shared_top([1, 2, 3], [1, 2, 3], 2) == 1


@pytest.mark.parametrize("module", BENCHMARKS, ids=lambda module: module.__name__)
def test_every_benchmark_has_the_common_flags_and_says_what_is_wrong(module):
    values = entry.parse(module.BENCHMARK, ["--rounds=5", "--seed=2", "--out=rows.json"])
    assert (values.quick, values.rounds, values.seed, values.out) == (False, 5, 2, "rows.json")
    with pytest.raises(flags.IllegalFlagValueError):
        entry.parse(module.BENCHMARK, ["--rounds=0"])
    with pytest.raises(app.UsageError, match="not a flag: cow"):
        entry.parse(module.BENCHMARK, ["cow"])


@pytest.mark.parametrize("module", [gram, peers], ids=lambda module: module.__name__)
def test_flags_are_defined_once_and_cases_are_checked(module):
    values = entry.parse(module.BENCHMARK, ["--cases=resnet18", "--rounds=5"])
    assert (values.cases, values.rounds) == (["resnet18"], 5)
    with pytest.raises(flags.IllegalFlagValueError, match="known cases"):
        entry.parse(module.BENCHMARK, ["--cases=vgg"])


def test_quick_does_not_change_what_the_command_line_names():
    echo = entry.Benchmark(
        lambda values: ([{"rounds": values.rounds, "seed": values.seed}], {}),
        ("rounds", "seed"),
        quick={"rounds": 1, "seed": 7},
    )
    assert entry.run(echo, ["--quick", "--rounds=2"]) == [{"rounds": 2, "seed": 7}]
    assert entry.run(echo, []) == [{"rounds": 3, "seed": 0}]


def test_a_result_is_printed_and_written_with_what_it_depends_on(tmp_path, capsys):
    echo = entry.Benchmark(lambda values: ([{"a": 0.12345, "b": None}], {"fact": 1}), ("a", "b"))
    path = tmp_path / "rows.json"
    rows = entry.run(echo, [f"--out={path}"])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["0.123", "–"]
    written = json.loads(path.read_text())
    assert written["rows"] == rows
    shared = {"fact", "rounds", "cpu", "cores", "device", "jax", "revision", "load_average"}
    assert shared < set(written["machine"])


def test_the_problem_of_the_protocol_is_the_first_query_of_an_experiment():
    values = entry.parse(query.BENCHMARK, ["--quick", "--num_pool=7", "--width=4", "--seed=1"])
    given = protocol.load(values, train=False)
    facts = given.facts()
    assert (facts["num_labeled"], facts["num_pool"]) == (20, 7)
    assert facts["num_parameters"] == problem.num_parameters(given.network)
    assert "--width=4" in facts["problem"]
    candidates = given.candidates()
    assert candidates.x is given.x_pool
    assert candidates.ids is given.ids
