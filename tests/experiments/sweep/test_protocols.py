"""The sweeps of the paper's large datasets run from end to end, on mocked images and in small."""

from __future__ import annotations

import pytest
import tensorflow_datasets as tfds
from absl import flags

from experiments import command_line, loop, preparation
from experiments.figures.__main__ import draw
from experiments.sweep import directory, grid

SMALL = [
    "--width=8", "--init_size=12", "--query_size=4", "--subset_size=20", "--cycles=2",
    "--epochs=2", "--batch_size=8", "--seed=0", "--strategy=random", "--learning_rate=0.01",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes"),
    [("2a", []), ("2b", ["--blocks=1"]), ("2c", [])],
)
@pytest.mark.filterwarnings("ignore:the network has learned nothing")
def test_a_sweep_runs_and_is_drawn(name, changes, tmp_path):
    values = flags.FlagValues()
    grid.define_all(values)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    flagfile = f"--flagfile=fig{name}.flags"
    values(
        command_line.find_flagfiles(["sweep", flagfile, *SMALL, *changes, f"--data_dir={tmp_path}"])
    )
    runs = directory.enter(
        str(tmp_path / "sweep"), grid.runs(values, str(tmp_path / "sweep")), False
    )
    assert {run.config.scheme for run in runs} == {"batch", "sequential"}  # of --also
    with tfds.testing.mock_data(num_examples=60):
        for run in runs:
            loop.run(preparation.prepare(run.config, resume=True), picture=False)
    assert all(directory.is_finished(run) for run in runs)
    assert draw(name, [str(tmp_path / "sweep")], str(tmp_path))
