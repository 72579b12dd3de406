"""A run that was stopped goes on after its last record, if it is the same run."""

from __future__ import annotations

import os
import pathlib
import shutil

import numpy as np
import pytest

from experiments import checkpoints, loop, preparation, records, revision
from experiments.config import Config
from ntk_al import training
from tests.experiments import stubbed

SETTINGS = {**stubbed.SETTINGS, "strategy": ("margin", "random"), "restart": "warm", "epochs": 3}
WHOLE = 2 * SETTINGS["cycles"]


@pytest.fixture(autouse=True)
def one_revision(monkeypatch):
    monkeypatch.setattr(revision, "git_revision", lambda: None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return stubbed.dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    run(workdir, dataset)
    return repeatable(workdir)


def run(workdir, dataset, resume=False, **changes):
    config = Config(**{**SETTINGS, "dataset": dataset, "workdir": str(workdir), **changes})
    return loop.run(preparation.prepare(config, resume=resume))


class StopError(Exception):
    pass


def stop_after(workdir, dataset, number, **changes):
    """Runs until that many trainings have ended."""
    fit, trainings = training.fit, []

    def fit_and_count(*args, **options):
        if len(trainings) == number:
            raise StopError
        trainings.append(0)
        return fit(*args, **options)

    training.fit = fit_and_count
    try:
        with pytest.raises(StopError):
            run(workdir, dataset, **changes)
    finally:
        training.fit = fit


def repeatable(workdir):
    return [
        {k: v for k, v in line.items() if not k.endswith("_seconds") and k not in LEFT_OUT}
        for line in records.read(str(workdir))
    ]


LEFT_OUT = ("config", "git_revision")


def numbers(workdir):
    lists = pathlib.Path(workdir, checkpoints.FOLDER).glob("*.json")
    return sorted(int(path.stem) for path in lists)


def flip_a_byte(workdir, number):
    folder = pathlib.Path(workdir, checkpoints.FOLDER, str(number))
    path = max(folder.rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("number", [1, SETTINGS["cycles"], WHOLE - 1])
def test_the_rest_of_a_run_is_that_of_one_without_a_stop(tmp_path, dataset, whole, number):
    stop_after(tmp_path, dataset, number)
    assert len(records.read(str(tmp_path))) == number
    run(tmp_path, dataset, resume=True)
    assert repeatable(tmp_path) == whole
    assert sorted(os.listdir(tmp_path)) == ["accuracy.png", "metrics.jsonl"]


def test_so_is_the_rest_of_one_that_trains_from_scratch(tmp_path, dataset):
    stop_after(tmp_path / "stopped", dataset, SETTINGS["cycles"] + 2, restart="cold")
    run(tmp_path / "stopped", dataset, resume=True, restart="cold")
    run(tmp_path / "whole", dataset, restart="cold")
    assert repeatable(tmp_path / "stopped") == repeatable(tmp_path / "whole")


@pytest.mark.parametrize("damaged", [[4], [3, 4]])
def test_a_flipped_bit_is_said_and_earlier_weights_are_used(tmp_path, dataset, whole, damaged):
    stop_after(tmp_path, dataset, 4)
    assert numbers(tmp_path) == [3, 4]
    for number in damaged:
        flip_a_byte(tmp_path, number)
    with pytest.warns(UserWarning, match=r"checkpoints/. is damaged and was removed"):
        run(tmp_path, dataset, resume=True)
    assert repeatable(tmp_path) == whole


def test_a_record_without_its_checkpoint_is_kept_and_its_training_repeated(
    tmp_path, dataset, whole
):
    stop_after(tmp_path, dataset, 3)
    shutil.rmtree(tmp_path / checkpoints.FOLDER)
    before = (tmp_path / records.METRICS).read_bytes()
    run(tmp_path, dataset, resume=True)
    assert (tmp_path / records.METRICS).read_bytes().startswith(before)
    assert repeatable(tmp_path) == whole


@pytest.mark.parametrize("rest", [b'{"strategy": "mar', b""])
def test_a_line_that_was_cut_off_is_written_anew(tmp_path, dataset, whole, rest):
    stop_after(tmp_path, dataset, 2)
    path = tmp_path / records.METRICS
    path.write_bytes(path.read_bytes().rstrip(b"\n") + (b"\n" + rest if rest else b""))
    run(tmp_path, dataset, resume=True)
    assert repeatable(tmp_path) == whole


def test_folders_of_others_are_left_alone(tmp_path, dataset):
    """But not the checkpoints of a run whose records were moved away."""
    stop_after(tmp_path, dataset, 3)
    own = tmp_path / checkpoints.FOLDER
    (own / "best_model").mkdir()
    (tmp_path / records.METRICS).unlink()
    run(tmp_path, dataset)
    assert os.listdir(own) == ["best_model"]


def test_a_finished_run_is_left_as_it_is(tmp_path, dataset):
    run(tmp_path, dataset)
    before = (tmp_path / records.METRICS).read_bytes()
    run(tmp_path, dataset, resume=True)
    assert (tmp_path / records.METRICS).read_bytes() == before


def test_without_a_run_there_resume_begins_one(tmp_path, dataset, whole):
    run(tmp_path, dataset, resume=True)
    assert repeatable(tmp_path) == whole


def test_an_unfinished_run_of_the_same_definition_is_said(tmp_path, dataset):
    stop_after(tmp_path, dataset, 2)
    with pytest.raises(FileExistsError, match=r"8 of its 10 cycles .* add --resume to go on"):
        run(tmp_path, dataset)
    with pytest.raises(FileExistsError, match="already holds a run") as error:
        run(tmp_path, dataset, epochs=4)
    assert "--resume" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 now"),
        ({"strategy": ("margin",)}, "strategy: margin,random there, margin now"),
        ({"seed": 1}, "seed: 0 there, 1 now"),
    ],
)
def test_another_definition_is_refused_with_the_difference(tmp_path, dataset, changes, message):
    stop_after(tmp_path, dataset, 2)
    before = (tmp_path / records.METRICS).read_bytes()
    with pytest.raises(FileExistsError, match=message):
        run(tmp_path, dataset, resume=True, **changes)
    assert (tmp_path / records.METRICS).read_bytes() == before


def test_other_data_under_the_same_name_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 3
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    stop_after(tmp_path / "run", str(path), 2)
    np.savez(path, x_train=2 * x**2, y_train=y, x_test=x, y_test=y)
    with pytest.raises(FileExistsError, match="the dataset holds other examples"):
        run(tmp_path / "run", str(path), resume=True)


def test_data_may_lie_elsewhere_when_a_run_goes_on(tmp_path, dataset, whole):
    stop_after(tmp_path, dataset, 2)
    run(tmp_path, dataset, resume=True, data_dir=str(tmp_path))
    assert repeatable(tmp_path) == whole


def test_other_weights_after_a_repeated_training_are_said(tmp_path, dataset):
    stop_after(tmp_path, dataset, 3)
    shutil.rmtree(tmp_path / checkpoints.FOLDER)
    path = tmp_path / records.METRICS
    *_, third = records.read(str(tmp_path))
    path.write_text(path.read_text().replace(str(third["train_loss"]), "0.123"))
    with pytest.warns(UserWarning, match=r"cycle 3 was trained again.*instead of 0.123"):
        run(tmp_path, dataset, resume=True)


def test_resume_needs_a_work_directory(dataset):
    config = Config(**{**SETTINGS, "dataset": dataset})
    with pytest.raises(ValueError, match="--workdir, which was not given"):
        preparation.prepare(config, resume=True)
