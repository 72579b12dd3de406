"""The commands that exchange a campaign with Label Studio, which is a fake here."""

from __future__ import annotations

import numpy as np
import pytest
from absl import flags

from experiments.campaign import __main__ as campaigns
from experiments.label_studio import __main__ as program
from ntk_al.labeling import label_studio
from tests.labeling.label_studio import fake

pytestmark = pytest.mark.quick

SERVER = ["--url=http://localhost:8080/", "--project=numbers"]


@pytest.fixture
def client(monkeypatch):
    client = fake.Client()
    monkeypatch.setattr(label_studio, "connect", lambda url, key: client)
    monkeypatch.setenv(program.KEY, "key")
    return client


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, of=program):
        values = flags.FlagValues()
        of.define(values)
        capsys.readouterr()
        of.main(values(["program", *arguments]), values)
        return capsys.readouterr().out

    return run


@pytest.fixture
def made(run, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pool.npy", rng.normal(size=(20, 3)))
    run("create", "c", "--pool=pool.npy", "--num_classes=2", of=campaigns)


def answer(client, task, number):
    value = {"choices": [str(number)]}
    part = {"from_name": "label", "to_name": "text", "type": "choices", "value": value}
    client.annotations.create(id=task.id, result=[part])


def test_what_is_pushed_is_labeled_and_pulled(run, made, client):
    shown = run("push", "c", "--k=4", *SERVER)
    assert "4 examples to label, typical ones\n4 new tasks, 0 moved\n" in shown
    assert "http://localhost:8080/projects/1/data" in shown
    tasks = list(client.tasks.list(project=1))
    for number, task in enumerate(tasks):
        answer(client, task, number % 2)
    shown = run("pull", "c", "--by=ann", *SERVER)
    assert "4 labels, 0 skipped, 0 without an answer; 4 are new or changed" in shown
    shown = run("push", "c", "--k=3", "--epochs=2", "--width=4", *SERVER)
    assert "trained on 4 labels" in shown
    assert "3 new tasks, 4 moved" in shown


def test_pull_makes_no_project_and_says_what_is_odd(run, made, client):
    run("push", "c", "--k=3", *SERVER)
    with pytest.raises(SystemExit, match=r"no project has the title 'typo'; there are: 'numbers'"):
        run("pull", "c", "--url=http://localhost:8080", "--project=typo")
    task, other, _ = client.tasks.list(project=1)
    answer(client, task, 1)
    run("pull", "c", *SERVER)
    client.annotations.delete(id=next(iter(client.tasks.list(project=1))).annotations[0]["id"])
    client.annotations.create(id=other.id, result=[])
    shown = run("pull", "c", *SERVER)
    assert "submitted without a choice: 1" in shown
    assert "labels whose annotation was deleted there: 1" in shown


def test_without_a_command_the_usage_is_shown(run):
    shown = run()
    assert all(f"ntk-al label-studio {name} FOLDER" in shown for name in program.COMMANDS)


def test_what_is_wrong_is_said_in_a_line(run, made, monkeypatch):
    monkeypatch.delenv(program.KEY, raising=False)
    for arguments, message in (
        (["pusch", "c"], "unknown command 'pusch'; known: push, pull"),
        (["push"], "which campaign?"),
        (["push", "c", "more"], "not a flag: more"),
        (["push", "c", "--project=numbers"], "--url is missing"),
        (["pull", "c", "--url=http://localhost"], "--project is missing"),
        (["pull", "c", *SERVER], "the environment variable LABEL_STUDIO_API_KEY is missing"),
    ):
        with pytest.raises(SystemExit) as exit:
            run(*arguments)
        assert exit.value.code.startswith("error: ")
        assert message in exit.value.code
