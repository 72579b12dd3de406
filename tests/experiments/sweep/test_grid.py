"""A sweep has every combination of the values of its flags."""

from __future__ import annotations

import shlex

import pytest
from absl import flags

from experiments import command_line
from experiments.definition import settings
from experiments.sweep import grid
from experiments.sweep.__main__ import define

SWEEPS = sorted(path.name for path in (command_line.SWEEP_DIR).iterdir())


def runs(*arguments, workdir="sweep", first=None):
    values = flags.FlagValues()
    grid.define_all(values)
    values(["sweep", *arguments])
    return grid.runs(values, workdir, first)


def chosen(found, *names):
    return [tuple(settings(run.config)[name] for name in names) for run in found]


@pytest.mark.quick
def test_lists_and_ranges_combine_and_all_runs_of_a_seed_come_together():
    found = runs("--strategy=mlmoc,random", "--seed=0..1,7", "--width=8,default")
    assert chosen(found, "seed", "strategy", "width") == [
        (seed, [strategy], width)
        for seed in (0, 1, 7)
        for width in (8, None)
        for strategy in ("mlmoc", "random")
    ]


@pytest.mark.quick
def test_without_lists_there_is_one_run():
    (run,) = runs("--dataset=digits", "--move_network")
    assert run.config.move_network
    assert run.config.strategy == ("mlmoc",)


@pytest.mark.quick
def test_by_default_labels_move_the_network_in_the_sequential_scheme_alone():
    found = runs("--scheme=batch,sequential", "--also=--scheme=batch --move_network=false")
    assert chosen(found, "scheme", "move_network") == [("batch", False), ("sequential", True)]
    (fixed,) = runs("--scheme=sequential", "--move_network=false")
    assert not fixed.config.lookahead("none").move_network


@pytest.mark.quick
def test_also_adds_runs_that_differ_in_some_flags_and_repeats_none():
    found = runs(
        "--strategy=random,mlmoc",
        "--seed=0..1",
        "--also=--strategy=mlmoc --scheme=batch,sequential --move_network=true,false",
    )
    assert sorted(chosen(found, "seed", "strategy", "scheme", "move_network")) == sorted(
        (seed, *rest)
        for seed in (0, 1)
        for rest in [
            (["random"], "batch", False),
            (["mlmoc"], "batch", False),
            (["mlmoc"], "batch", True),
            (["mlmoc"], "sequential", True),
            (["mlmoc"], "sequential", False),
        ]
    )


@pytest.mark.quick
def test_runs_are_named_by_what_they_are():
    found = runs("--strategy=random,mlmoc", "--seed=3", "--scheme=batch,sequential", "--ridge=0.01")
    assert [run.name for run in found] == [
        "random-seed=3",
        "random-scheme=sequential-move_network=True-seed=3",
        "mlmoc-seed=3",
        "mlmoc-scheme=sequential-move_network=True-seed=3",
    ]
    assert [run.config.workdir for run in found] == [f"sweep/{run.name}" for run in found]


@pytest.mark.quick
def test_the_printed_command_of_a_run_describes_that_run():
    found = runs(
        "--strategy=random,mlmoc", "--epochs=7", "--move_network=true", "--width=default,16",
        "--data_dir=some where",
    )  # fmt: skip
    for run in found:
        python, m, module, resume, *arguments = shlex.split(grid.command(run))
        assert (python, m, module, resume) == ("python", "-m", "experiments.main", "--resume")
        values = flags.FlagValues()
        command_line.define(values)
        values(["main", *arguments])
        assert command_line.to_config(values) == run.config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed=a"], "--seed=a: invalid literal"),
        (["--seed=4..2"], "--seed=4..2: a range is first..last"),
        (["--seed=,"], "--seed has no value"),
        (["--seed=0..999999999"], "--seed=0..999999999"),
        (["--seed=0..99999", "--width=1,2"], "a sweep of more than 100000 runs"),
        (["--strategy=mlmco"], "unknown strategy 'mlmco'; known"),
        (["--tolerance=small"], "--tolerance=small: could not convert"),
        (["--move_network=perhaps"], "--move_network=perhaps"),
        (["--also=mlmoc"], "--also='mlmoc' must consist of flags"),
        (["--also=--colour=red"], "--also='--colour=red': Unknown command line flag"),
        (["--also=--scheme='batch"], "No closing quotation"),
        (["--dataset=a/x.npz,b/x.npz,c/x.npz"], "two runs have the name"),
        (["--query_size=20,2000"], "larger than subset_size"),
    ],
)
@pytest.mark.quick
def test_flags_that_make_no_sweep_are_refused(arguments, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        runs(*arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.quick
def test_every_flagfile_of_a_sweep_makes_runs_and_says_what_they_cost(name):
    values = flags.FlagValues()
    define(values)
    values(command_line.find_flagfiles(["sweep", f"--flagfile={name}"]))
    found = grid.runs(values, values.workdir)
    assert len({run.config.seed for run in found}) >= 5
    strategies = {run.config.strategy[0] for run in found}
    assert {"random", "mlmoc"} <= strategies
    header = (command_line.SWEEP_DIR / name).read_text()
    assert f"python -m experiments.sweep --flagfile={name}" in header
    assert "Cost:" in header
    assert values.workdir == f"runs/{name.removesuffix('.flags')}"
