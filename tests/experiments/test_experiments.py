from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags

from experiments import command_line, loop, preparation, records
from experiments.config import Config
from ntk_al.acquisition import schemes
from ntk_al.data import DATASETS
from ntk_al.models import MODELS
from tests.experiments import forked
from tests.paths import ROOT

FLAGFILES = sorted(path.name for path in command_line.FLAGFILE_DIR.glob("*.flags"))
SMALL = {
    "dataset": "digits",
    "model": "convnet",
    "width": 8,
    "init_size": 12,
    "query_size": 4,
    "subset_size": 40,
    "cycles": 2,
    "epochs": 3,
    "batch_size": 8,  # of one shape, however many labels there are
}
OPTIMIZED = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}  # where training takes the time
TIMES = ("train_seconds", "query_seconds")
FIELDS = {
    "strategy", "scheme", "seed", "predictive", "cycle", "num_labeled", "test_accuracy",
    "train_loss", *TIMES, "queried", "ridge", "condition_number", "diagnostics", "git_revision",
}  # fmt: skip


def run(tmp_path, name="run", **settings):
    config = Config(**{**SMALL, **settings, "workdir": str(tmp_path / name)})
    loop.run(preparation.prepare(config))
    return records.read(config.workdir)


def main(*arguments, **options):
    command = [sys.executable, "-m", "experiments.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def small_flags(**changes):
    return [f"--{name}={value}" for name, value in {**SMALL, **changes}.items()]


@pytest.fixture(scope="module")
def forked_runs(tmp_path_factory):
    with forked.runs(tmp_path_factory.mktemp("server")) as runs:
        yield runs


def test_main_runs_from_a_bare_flagfile_name_and_leaves_records_and_a_picture(tmp_path):
    workdir = tmp_path / "run"
    done = main("--flagfile=digits.flags", *small_flags(), f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    assert str(workdir) in done.stdout
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["strategy"] for line in lines] == ["mlmoc"] * 2 + ["random"] * 2
    assert [line["num_labeled"] for line in lines] == [12, 16, 12, 16]
    assert set(lines[0]) == {*FIELDS, "config", "data_digest"}
    assert all(set(line) == FIELDS for line in lines[1:])
    assert lines[0]["config"]["width"] == 8
    assert (workdir / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(os.listdir(workdir)) == ["accuracy.png", "metrics.jsonl"]


def test_warnings_of_a_cycle_stand_once_on_the_terminal_without_a_line_of_code(
    tmp_path, capsys, monkeypatch
):
    def show(message, category, filename, lineno, file=None, line=None):  # as without pytest
        file.write(warnings.formatwarning(message, category, filename, lineno, line))

    monkeypatch.setattr(warnings, "showwarning", show)
    quick = {"cycles": 1, "query_size": 2, "subset_size": 9, "epochs": 1, "learning_rate": 1e-6}
    run(tmp_path, strategy=("mlmoc", "random"), scheme="sequential", **quick)
    said = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert len(said) == 1  # for the two labels of mlmoc, and none for random
    assert all(line.startswith("warning: the outputs of the network on the") for line in said)


@pytest.mark.parametrize("scheme", ["batch", "sequential"])
def test_labels_are_queried_once_and_from_the_training_set(tmp_path, scheme):
    lines = run(tmp_path, scheme=scheme, cycles=3, strategy=("mlmoc",))
    queried = [i for line in lines for i in line["queried"]]
    assert len(queried) == len(set(queried)) == 12
    assert set(queried) <= set(range(1347))
    assert [line["num_labeled"] for line in lines] == [12, 16, 20]
    assert all(line["ridge"] > 0 and line["condition_number"] >= 1 for line in lines)


def test_two_runs_with_one_seed_give_the_same_records_but_for_the_times(tmp_path):
    def without_times(lines):
        dropped = {*TIMES, "config"}
        return [{k: v for k, v in line.items() if k not in dropped} for line in lines]

    settings = {"strategy": ("mlmoc", "random"), "scheme": "sequential"}
    first = run(tmp_path, "a", **settings)
    again = run(tmp_path, "b", **settings)
    other = run(tmp_path, "c", **settings, seed=1)
    assert without_times(first) == without_times(again)
    assert without_times(first) != without_times(other)


def test_strategies_start_from_the_same_labels_and_weights(tmp_path):
    lines = run(tmp_path, strategy=("random", "entropy"), cycles=1)
    assert lines[0]["test_accuracy"] == lines[1]["test_accuracy"]
    assert lines[0]["train_loss"] == lines[1]["train_loss"]
    assert lines[0]["queried"] != lines[1]["queried"]


def test_every_cycle_has_keys_and_candidates_of_its_own(tmp_path, monkeypatch):
    seen = []

    def record(key, strategy, candidates, k, oracle):
        seen.append((candidates.ids.tolist(), jax.random.uniform(key).item()))
        return batch(key, strategy, candidates, k, oracle)

    batch = schemes.SCHEMES["batch"]
    monkeypatch.setitem(schemes.SCHEMES, "batch", record)
    run(tmp_path, strategy=("random",), cycles=3)
    for number in (0, 1):
        assert len({str(values[number]) for values in seen}) == len(seen) == 3


def test_a_warm_restart_goes_on_from_the_weights_it_had(tmp_path):
    settings = {"strategy": ("random",), "epochs": 15, "cycles": 3}
    cold = run(tmp_path, "cold", restart="cold", **settings)
    warm = run(tmp_path, "warm", restart="warm", **settings)
    assert cold[0]["train_loss"] == warm[0]["train_loss"]
    assert warm[2]["train_loss"] < cold[2]["train_loss"]


def test_a_slice_of_real_mnist(mnist_dir, tmp_path):
    settings = {"width": 16, "strategy": "mlmoc,random", "init_size": 60, "epochs": 60}
    given = small_flags(dataset="mnist", data_dir=mnist_dir, **settings)
    done = main(*given, f"--workdir={tmp_path / 'run'}", env=OPTIMIZED)
    assert done.returncode == 0, done.stderr
    lines = records.read(str(tmp_path / "run"))
    assert len(lines) == 4
    assert all(line["test_accuracy"] > 0.4 for line in lines)


def test_budget_devices_and_evaluation_points_reach_the_query(tmp_path):
    plain = run(tmp_path, "plain", cycles=1)
    shared = run(tmp_path, "shared", cycles=1, devices="all", memory_budget=2**28)
    assert shared[0]["queried"] == plain[0]["queried"]
    few = run(tmp_path, "few", cycles=1, eval_size=3)
    assert few[0]["queried"] != plain[0]["queried"]
    with pytest.raises(ValueError, match="the memory budget is"):
        run(tmp_path, "small", cycles=1, memory_budget=1000)


@pytest.mark.parametrize("dataset", ["svhn", "cifar10"])
def test_public_datasets_run_end_to_end_on_mocked_images(dataset, tmp_path):
    with tfds.testing.mock_data(num_examples=80):
        lines = run(tmp_path, dataset=dataset, data_dir=str(tmp_path), strategy=("margin",))
    assert len(lines) == 2


def test_a_users_own_file_runs_end_to_end(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 5)), rng.integers(0, 3, 100)
    path = str(tmp_path / "mine.npz")
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    lines = run(tmp_path, dataset=path, model="mlp", augmentation="none")
    assert len(lines) == 2


def test_a_users_own_images_are_not_left_without_augmentation_in_silence(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4, 4)), np.arange(60) % 3
    path = str(tmp_path / "mine.npz")
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    own = {"dataset": path, "model": "mlp", "cycles": 1, "strategy": ("random",)}
    with pytest.warns(UserWarning, match=r"--augmentation=shift, .* --augmentation=shift_flip"):
        run(tmp_path, "unsaid", **own)
    run(tmp_path, "said", **own, augmentation="none")  # a warning would be an error


@pytest.mark.parametrize("name", FLAGFILES)
@pytest.mark.quick
def test_every_flagfile_parses_into_a_config_with_the_protocol_of_the_paper(name):
    values = flags.FlagValues()
    command_line.define(values)
    values(command_line.find_flagfiles(["main", f"--flagfile={name}"]))
    config = command_line.to_config(values)
    protocol = (config.init_size, config.query_size, config.subset_size)
    expected = {
        "mnist": (100, 20, 4000),
        "svhn": (1000, 1000, 6000),
        "cifar10": (1000, 1000, 6000),
        "cifar100": (10000, 1000, 6000),
    }
    if config.dataset in expected:
        assert protocol == expected[config.dataset]
        assert config.loss == "squared"
    header = (ROOT / "experiments" / "flags" / name).read_text()
    assert f"python -m experiments.main --flagfile={name}" in header
    assert "Cost:" in header


WRONG = {
    "query_size": ({"query_size": 50}, "query_size (50) is larger than subset_size (40)"),
    "seed": ({"seed": 2**32}, "seed must be below 2^32"),
    "subset": ({"subset_size": 1400}, "is larger than the pool"),
    "dataset": ({"dataset": "imagenet"}, "known: " + ", ".join(sorted(DATASETS))),
    "model": ({"model": "vgg"}, "known: " + ", ".join(sorted(MODELS))),
    "strategy": ({"strategy": ("mlmco",)}, "known: badge, bait, bald, batchbald"),
    "no strategy": ({"strategy": ()}, "no strategy was named"),
    "twice": ({"strategy": ("random", "random")}, "named twice"),
    "devices": ({"devices": "two"}, "known: all, one"),
    "eval_size": ({"eval_size": 50}, "eval_size (50) is larger than subset_size (40)"),
    "together": (
        {"readout": "all_logits", "precision": "bfloat16"},
        "neither a mesh nor a precision other than float32",
    ),
    "scheme": ({"scheme": "greedy"}, "known: batch, oracle, sequential"),
    "restart": ({"restart": "hot"}, "known: cold, warm"),
    "readout": ({"readout": "all"}, "known: all_logits, first_logit, sum_logits"),
    "reference": ({"reference": "f"}, "known: linearized, network"),
    "ridge": ({"ridge": -1.0}, "ridge must be"),
    "learning rate": ({"learning_rate": float("nan")}, "learning_rate must be"),
    "cycles": ({"cycles": 0}, "cycles must be"),
    "option": ({"model": "resnet18", "blocks": 2}, "'resnet18' has no option 'blocks'"),
    "width": ({"model": "wide_resnet", "width": 10}, "multiple of 4, got 10"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.quick
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(case, tmp_path):
    settings, message = WRONG[case]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        run(tmp_path, **settings)
    assert message in str(error.value)
    assert not os.listdir(tmp_path)


def test_images_are_needed_where_they_are_augmented(tmp_path):
    path = str(tmp_path / "mine.npz")
    x, y = np.zeros((100, 5)), np.arange(100) % 3
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="--augmentation=none"):
        run(tmp_path, dataset=path, model="mlp", augmentation="shift")
    with pytest.raises(ValueError, match="does not take examples of shape"):
        run(tmp_path, dataset=path, model="convnet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cyles=3"], "Did you mean: cycles"),
        (["--cycles=three"], "invalid literal for int"),
        (["--flagfile=imagenet.flags"], "cifar10.flags, cifar100.flags, digits.flags"),
        (["--strategy=mlmco"], "unknown strategy 'mlmco'; known"),
        (["--dataset=cifar10", "--data_dir=/nowhere"], "data.prepare('cifar10', '/nowhere')"),
        (["cifar100.flags"], "not a flag: cifar100.flags"),
        (["--workdir=/proc/none"], "the work directory /proc/none cannot be made"),
        (["--strategy=,"], "no strategy was named"),
    ],
)
def test_a_wrong_command_line_is_explained_without_a_traceback(forked_runs, arguments, message):
    status, said = forked_runs.run(None, first=arguments, bare=True)
    assert status != 0
    assert message in said
    assert "Traceback" not in said


def test_help_describes_every_flag():
    text = main("--help").stdout
    assert all(f"{field.name}:" in text for field in dataclasses.fields(Config))


@pytest.mark.quick
def test_every_setting_is_a_flag_with_a_help_text():
    assert all(field.metadata["help"] for field in dataclasses.fields(Config))
    promised = """
        dataset data_dir model width blocks strategy scheme init_size query_size subset_size cycles
        seed restart epochs batch_size learning_rate weight_decay augmentation readout reference
        ridge workdir
    """
    assert {field.name for field in dataclasses.fields(Config)} >= set(promised.split())
