"""Runs are grouped into methods and problems, and compared on the seeds they share."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.figures import collected
from experiments.sweep import gather
from tests.experiments.figures.sweeps import write_run, write_small


def arranged(*folders):
    return collected.curves(collected.methods(collected.read([str(f) for f in folders])))


def test_a_method_is_a_strategy_with_the_settings_that_vary(tmp_path):
    methods = collected.methods(collected.read([write_small(tmp_path)]))
    assert {method.label for method in methods} == {
        "random", "margin", "mlmoc", "mlmoc, sequential"
    }  # fmt: skip
    assert all(sorted(method.runs) == [0, 1, 2] for method in methods)


def test_labels_say_what_is_not_the_default_of_the_scheme(tmp_path):
    for scheme, moves in (("batch", False), ("sequential", True), ("sequential", False)):
        write_run(tmp_path, [0.5], strategy=("mlmoc",), seed=0, scheme=scheme, move_network=moves)
    write_run(tmp_path, [0.5], strategy=("mlmoc",), seed=0, approximation="landmarks")
    (found,) = arranged(tmp_path).values()
    assert set(found.strategies) == {
        "mlmoc", "mlmoc, sequential", "mlmoc, sequential, fixed network", "mlmoc, landmarks"
    }  # fmt: skip


def test_accuracies_are_arranged_by_seed_and_number_of_labels(tmp_path):
    curves = arranged(write_small(tmp_path))["digits"]
    assert curves.num_labeled.tolist() == [20, 30, 40]
    assert curves.seeds.tolist() == [0, 1, 2]
    np.testing.assert_allclose(
        curves.of("random"), [[0.5, 0.6, 0.7], [0.51, 0.61, 0.71], [0.53, 0.63, 0.73]]
    )


def test_settings_of_training_make_problems_of_their_own(tmp_path):
    for width in (8, 16):
        for seed in (0, 1):
            write_run(tmp_path, [0.5, width / 20], strategy=("mlmoc",), seed=seed, width=width)
    found = arranged(tmp_path)
    assert {name: curves.of("mlmoc")[0, 1] for name, curves in found.items()} == {
        "digits, width 8": 0.4, "digits, width 16": 0.8
    }  # fmt: skip


def test_other_examples_under_one_name_are_not_compared(tmp_path):
    write_run(tmp_path, [0.5], strategy=("random",), seed=0, digest="a")
    write_run(tmp_path, [0.5], strategy=("mlmoc",), seed=0, digest="b")
    with pytest.raises(ValueError, match="random-seed=0 was done on other examples"):
        collected.read([str(tmp_path)])


def test_a_run_that_failed_once_and_was_finished_then_is_no_failure(tmp_path):
    write_run(tmp_path, [0.5, 0.6], strategy=("random",), seed=0, failed="killed")
    assert not collected.failures(collected.read([str(tmp_path)]))


def test_runs_that_a_definition_does_not_name_are_read_too(tmp_path):
    write_small(tmp_path)
    (tmp_path / "sweep.json").write_text('{"shared": {}, "runs": {"margin-seed=0": {}}}')
    methods = collected.methods(collected.read([str(tmp_path)]))
    assert methods[0].label == "margin"
    assert arranged(tmp_path)["digits"].seeds.tolist() == [0, 1, 2]


def test_datasets_with_one_file_name_are_not_taken_for_one(tmp_path):
    for folder in ("a", "b"):
        given = {"strategy": ("mlmoc",), "dataset": f"{folder}/mine.npz"}
        write_run(tmp_path, [0.5], name=folder, **given)
    assert set(arranged(tmp_path)) == {"a/mine.npz", "b/mine.npz"}


def test_only_seeds_that_all_methods_have_finished_are_compared(tmp_path):
    write_small(tmp_path)
    write_run(tmp_path, [0.5, 0.6], cycles=3, strategy=("margin",), seed=1)
    write_run(tmp_path, [0.5, 0.6, 0.7], strategy=("random",), seed=3)
    assert arranged(tmp_path)["digits"].seeds.tolist() == [0, 2]


def test_a_method_without_a_finished_run_does_not_hide_the_others(tmp_path):
    write_small(tmp_path)
    write_run(tmp_path, [0.5], cycles=3, strategy=("badge",), seed=0)
    assert arranged(tmp_path)["digits"].seeds.tolist() == [0, 1, 2]


def test_failures_are_listed_with_their_reason(tmp_path):
    write_small(tmp_path)
    write_run(tmp_path, [0.5], cycles=3, strategy=("badge",), name="lost", failed="no memory\n")
    assert collected.failures(collected.read([str(tmp_path)])) == ["lost: no memory"]


def test_a_run_that_failed_before_its_first_cycle_is_listed_too(tmp_path):
    write_small(tmp_path)
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "failed.txt").write_text("no data")
    assert collected.failures(collected.read([str(tmp_path)])) == ["early: no data"]


def test_several_sweeps_are_read_together_and_a_run_only_once(tmp_path):
    write_small(tmp_path / "a")
    write_run(tmp_path / "b", [0.5, 0.6, 0.7], strategy=("badge",), seed=0)
    assert arranged(tmp_path / "a", tmp_path / "b")["digits"].seeds.tolist() == [0]
    with pytest.raises(ValueError, match="is there twice"):
        arranged(tmp_path / "a", tmp_path / "a")


def test_a_single_run_of_several_strategies_is_a_sweep_of_them(tmp_path):
    write_small(tmp_path / "sweep")
    own = tmp_path / "run"
    own.mkdir()
    parts = [tmp_path / "sweep" / f"{name}-seed=0" for name in ("random", "margin")]
    (own / "metrics.jsonl").write_text("".join((p / "metrics.jsonl").read_text() for p in parts))
    assert arranged(own)["digits"].strategies == ("random", "margin")


def test_what_was_gathered_is_read_as_the_sweep_itself(tmp_path):
    folder = write_small(tmp_path / "sweep")
    write_run(folder, [0.5], cycles=3, strategy=("badge",), name="lost", failed="no memory")
    write_run(folder, [0.5], cycles=3, strategy=("badge",), name="unfinished", seed=1)
    runs = {
        name: {"strategy": ["margin"], "cycles": 3}  # what is gathered depends on the cycles only
        for name in sorted(path.name for path in (tmp_path / "sweep").iterdir())
    }
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"shared": {}, "runs": runs}))
    assert gather.gather(folder, str(tmp_path / "to")) == 13
    found = collected.read([str(tmp_path / "to")])
    expected = [run for run in collected.read([folder]) if run.name != "unfinished"]
    assert collected.failures(found) == collected.failures(expected) == ["lost: no memory"]
    for one, other in zip(found, expected, strict=True):
        assert one.name == other.name
        if one.failure is None:
            assert one.settings == other.settings
            assert one.is_complete
    assert "workdir" not in (tmp_path / "to" / "metrics.jsonl").read_text()
    assert gather.scatter(str(tmp_path / "to"), str(tmp_path / "back")) == 12
    again = {run.name: run.records for run in collected.read([str(tmp_path / "back")])}
    kept = {run.name: run.records for run in expected if run.failure is None}
    for name, lines in kept.items():
        del lines[0]["config"], again[name][0]["config"]
    assert again == kept
    with pytest.raises(FileExistsError, match="is not empty"):
        gather.scatter(str(tmp_path / "to"), str(tmp_path / "back"))


def test_a_folder_without_records_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="is it the directory of a sweep or of a run"):
        collected.read([str(tmp_path)])
