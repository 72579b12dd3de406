"""The directory of a sweep holds one definition, to which runs can be added but not changed."""

from __future__ import annotations

import json
import os

import pytest

from experiments.sweep import directory
from tests.experiments.figures.sweeps import write_run
from tests.experiments.sweep.test_grid import runs

GIVEN = ("--strategy=random,mlmoc", "--seed=0..1", "--init_size=20", "--query_size=10")


def enter(folder, *arguments, extend=False):
    return directory.enter(str(folder), runs(*arguments, workdir=str(folder)), extend)


@pytest.mark.quick
def test_a_definition_is_read_as_it_was_written(tmp_path):
    found = enter(tmp_path, *GIVEN)
    read = directory.read_definition(str(tmp_path))
    assert list(read) == [run.name for run in found]
    assert [(own["strategy"], own["seed"]) for own in read.values()] == [
        (list(run.config.strategy), run.config.seed) for run in found
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*GIVEN, "--epochs=3"), "epochs: 200 there, 3 now"),
        ((*GIVEN[:1], "--seed=1", *GIVEN[2:]), "seed: 0,1 there, 1 now"),
        ((*GIVEN, "--seed=0..2"), "--extend adds the 2 runs that are new"),
    ],
)
def test_another_definition_is_refused_with_the_difference(tmp_path, arguments, message):
    enter(tmp_path, *GIVEN)
    before = (tmp_path / directory.DEFINITION).read_bytes()
    with pytest.raises(FileExistsError) as error:
        enter(tmp_path, *arguments)
    assert message in str(error.value)
    assert (tmp_path / directory.DEFINITION).read_bytes() == before


def test_extending_adds_runs_and_keeps_the_names_of_the_others(tmp_path):
    before = [run.name for run in enter(tmp_path, *GIVEN)]
    more = ("--also=--scheme=sequential --strategy=mlmoc",)
    # The first run decides which names are short; now it would be another.
    found = enter(tmp_path, "--batch_size=8,16", *GIVEN, *more, extend=True)
    assert set(before) < {run.name for run in found}
    assert list(directory.read_definition(str(tmp_path)))[: len(before)] == before
    with pytest.raises(FileExistsError, match="--extend only adds"):
        enter(tmp_path, *GIVEN[1:], extend=True)


def test_a_run_of_another_definition_in_its_place_is_refused(tmp_path):
    write_run(tmp_path, [0.5], name="random-seed=0", strategy=("random",), epochs=7)
    with pytest.raises(FileExistsError, match="epochs: 7 there, 200 now"):
        enter(tmp_path, "--strategy=random", "--seed=0", "--init_size=20", "--cycles=1")
    assert os.listdir(tmp_path) == ["random-seed=0"]


def test_the_directory_of_a_single_run_is_no_sweep(tmp_path):
    write_run(tmp_path, [0.5], name=".")
    with pytest.raises(FileExistsError, match="holds a single run"):
        enter(tmp_path, *GIVEN)


def test_what_is_done_elsewhere_counts(tmp_path):
    write_run(tmp_path, [0.5, 0.6], name="random-seed=0", strategy=("random",))
    first, second = enter(
        tmp_path, "--strategy=random", "--seed=0..1", "--cycles=2", "--query_size=10"
    )
    assert directory.is_finished(first)
    assert not directory.is_finished(second)


def test_runs_on_other_examples_are_not_mixed(tmp_path):
    for seed, digest in enumerate("ab"):
        given = {"strategy": ("random",), "seed": seed, "digest": digest}
        write_run(tmp_path, [0.5, 0.6], **given)
    with pytest.raises(FileExistsError, match="was done on other examples than the runs before"):
        enter(tmp_path, "--strategy=random", "--seed=0..1", "--cycles=2", "--query_size=10")


def test_new_runs_are_named_by_what_differs_from_the_first_that_was_there(tmp_path):
    enter(tmp_path, "--strategy=random", "--width=32")
    first = next(iter(directory.recorded(str(tmp_path)).values()))
    arguments = ("--strategy=random", "--width=64,32")
    found = directory.enter(str(tmp_path), runs(*arguments, workdir="x", first=first), True)
    assert sorted(run.name for run in found) == ["random-seed=0", "random-width=64-seed=0"]


def test_a_failure_is_noted_until_the_run_succeeds(tmp_path):
    run = enter(tmp_path, *GIVEN)[0]
    directory.note_failure(run, "no memory")
    path = os.path.join(run.config.workdir, directory.FAILED)
    with open(path, encoding="utf-8") as file:
        assert file.read() == "no memory\n"
    directory.note_failure(run, None)
    assert not os.path.exists(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"shared": {}, "runs": []}', '{"runs": {}}'])
def test_a_damaged_definition_is_told(tmp_path, content):
    (tmp_path / directory.DEFINITION).write_text(content)
    with pytest.raises(ValueError, match=r"sweep.json is damaged"):
        directory.read_definition(str(tmp_path))


def test_a_definition_of_an_older_version_has_defaults_for_new_settings(tmp_path):
    enter(tmp_path, *GIVEN)
    content = json.loads((tmp_path / directory.DEFINITION).read_text())
    del content["shared"]["move_network"]
    (tmp_path / directory.DEFINITION).write_text(json.dumps(content))
    assert len(enter(tmp_path, *GIVEN)) == 4
